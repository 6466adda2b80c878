//! A gateway without cameras: a real store and a real uplink, and a test that decides what is reported.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender};
use snowgate::{
    clock::SystemClock,
    shutdown::Shutdown,
    store::{Class, Commit, Message, Store, spec::StorageSpec},
    uplink::{Broker, Command, LinkState, MqttSecrets, RetainedStates, Topics, Uplink, UplinkConfig, spec::MqttSpec},
};
use snowgate_core::{
    ids::Id,
    spec::{Section, read_table},
    time::Clock,
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, time::timeout};

/// Commands that wait to be carried out.
pub const COMMANDS: usize = 64;

/// Reports what a test commits.
pub struct Reporter {
    /// Its store.
    pub store: Store,
    /// Its retained states.
    pub retained: RetainedStates,
    /// Its topics.
    pub topics: Topics,
    /// The commands that come in: a test carries them out.
    pub commands: Receiver<Command>,
    into_commands: Sender<Command>,
    clock: Arc<dyn Clock>,
    home: Arc<TempDir>,
    settings: String,
    secrets: MqttSecrets,
    running: Option<(Runtime, Uplink, Shutdown)>,
}

/// Reads a spec from TOML.
pub fn spec<T: Section>(toml: &str) -> T {
    let mut value = toml_span::parse(toml).unwrap_or_else(|error| panic!("{toml}: {error}"));
    read_table(&mut value).unwrap_or_else(|error| panic!("{toml}: {error}"))
}

impl Reporter {
    /// A gateway with an empty store and further settings of its `[mqtt]` table; not yet connected.
    pub fn new(broker: SocketAddr, settings: &str, secrets: MqttSecrets) -> Self {
        let home = Arc::new(TempDir::new().expect("a temporary directory"));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let settings = format!("host = '{}'\nport = {}\n{settings}", broker.ip(), broker.port());
        let store = open(home.path(), &settings, &clock);
        let (retained, topics) = (RetainedStates::new(), Topics::new(&gateway()));
        let (into_commands, commands) = crossbeam_channel::bounded(COMMANDS);
        Self { store, retained, topics, commands, into_commands, clock, home, settings, secrets, running: None }
    }

    /// A plain connection with the defaults, started.
    pub fn start(broker: SocketAddr) -> Self {
        let mut reporter = Self::new(broker, "", MqttSecrets::default());
        reporter.connect();
        reporter
    }

    /// Starts the uplink.
    pub fn connect(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime needs nothing but threads");
        let broker = Broker::new(&gateway(), &spec::<MqttSpec>(&self.settings), &self.secrets)
            .unwrap_or_else(|error| panic!("{}: {error}", self.settings));
        let shutdown = Shutdown::new();
        let config = UplinkConfig {
            gateway: gateway(),
            broker,
            store: self.store.clone(),
            retained: self.retained.clone(),
            commands: self.into_commands.clone(),
            clock: self.clock.clone(),
            shutdown: shutdown.clone(),
        };
        let uplink = Uplink::spawn(config, runtime.handle());
        self.running = Some((runtime, uplink, shutdown));
    }

    /// Ends the uplink in good order.
    pub fn stop(&mut self) {
        if let Some((runtime, uplink, shutdown)) = self.running.take() {
            shutdown.trigger();
            let stopped = runtime.block_on(async { timeout(Duration::from_secs(20), uplink.stopped()).await });
            assert_eq!(stopped, Ok(true), "the uplink does not stop");
        }
    }

    /// Ends the uplink as a kill would: in the middle of whatever it does, without a word to the broker.
    pub fn kill(&mut self) {
        if let Some((runtime, ..)) = self.running.take() {
            runtime.shutdown_timeout(Duration::from_secs(10));
        }
    }

    /// Gives the directory up and opens the store anew, with other `[mqtt]` settings behind the first ones.
    pub fn reopen(mut self, settings: &str) -> Self {
        self.stop();
        let Self { store, retained, topics, commands, into_commands, clock, home, settings: before, secrets, .. } =
            self;
        drop(store);
        let settings = format!("{before}\n{settings}");
        let store = open(home.path(), &settings, &clock);
        Self { store, retained, topics, commands, into_commands, clock, home, settings, secrets, running: None }
    }

    /// Commits messages of one class: their lanes and payloads.
    pub fn report(&self, class: Class, messages: &[(&str, &str)]) {
        let topic = match class {
            Class::Evidence => format!("{}/evidence/test/still.jpg", self.topics.root()),
            _ => self.topics.incident("village", "330110001"),
        };
        let message = |(lane, payload): &(&str, &str)| Message {
            class,
            lane: (!lane.is_empty()).then(|| (*lane).to_owned()),
            topic: topic.clone(),
            payload: payload.as_bytes().to_vec(),
            retain: false,
            origin: Some(self.clock.mono()),
        };
        let messages = messages.iter().map(message).collect();
        self.store.commit(|_| Commit { messages, ..Commit::default() }).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Where its store is.
    pub fn data(&self) -> &Path {
        self.home.path()
    }

    /// Waits until the connection's state satisfies a condition, and returns it; panics after a minute.
    pub fn wait_for(&self, awaited: &str, condition: impl Fn(&LinkState) -> bool) -> LinkState {
        let (runtime, uplink, _) = self.running.as_ref().expect("the uplink runs");
        let mut state = uplink.state();
        runtime.block_on(async {
            match timeout(Duration::from_secs(60), state.wait_for(|state| condition(state))).await {
                Ok(Ok(state)) => state.clone(),
                _ => panic!("waited in vain for {awaited}; it is {:?}", *uplink.state().borrow()),
            }
        })
    }

    /// Waits until nothing is left to send; panics after two minutes.
    pub fn wait_until_sent(&self) {
        self.wait_for_messages(0);
    }

    /// Waits until so many messages are left to send; panics after two minutes.
    pub fn wait_for_messages(&self, left: u64) {
        let (runtime, ..) = self.running.as_ref().expect("the uplink runs");
        let mut status = self.store.watch();
        runtime.block_on(async {
            let sent = timeout(Duration::from_secs(120), status.wait_for(|status| status.messages() == left)).await;
            assert!(sent.is_ok(), "still unsent: {:?}", self.store.status());
        });
    }
}

fn gateway() -> Id {
    "gate-1".parse().expect("a good id")
}

fn open(home: &Path, settings: &str, clock: &Arc<dyn Clock>) -> Store {
    let mqtt: MqttSpec = spec(settings);
    match Store::open(home, &spec::<StorageSpec>(""), mqtt.connection.max_packet, clock.clone()) {
        Ok((store, _)) => store,
        Err(error) => panic!("{error}"),
    }
}
