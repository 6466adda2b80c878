//! A box is swapped in the field: what it had not sent yet comes from the one in its place, once, and the old one sends nothing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeSet, net::SocketAddr, path::Path};

use snowgate::cli::{self, exit::Exit};
use snowgate_simulators::http::Poster;
use snowgate_tests::{
    daemon::{self, Daemon, Launch},
    site::Site,
    wait::{PATIENCE, wait_until},
};
use tokio::runtime::Runtime;

const TOKEN: &str = "a-very-secret-token";

fn button(id: &str) -> String {
    format!(
        "id = \"{id}\"\nname = \"{id}\"\ncategory = \"sos\"\ngrid = \"330182101201001\"\n[source]\nprotocol = \"http\"\n\
         token_file = \"token\"\n[[source.values]]\nid = \"button\"\npointer = \"/pressed\"\n[[rules]]\nid = \"pressed\"\n\
         quantity = \"button\"\nkind = \"button\"\ncool_down = \"10m\"\n"
    )
}

fn press(runtime: &Runtime, listen: SocketAddr, sensor: &str) {
    let mut poster = runtime.block_on(Poster::connect(listen)).unwrap();
    let answer = runtime.block_on(poster.post(sensor, TOKEN, r#"{"pressed":true}"#)).unwrap();
    assert_eq!(answer.status, 204);
}

fn snowgate(command: &str, file: &Path, config: &Path, data: &Path, further: &[&str]) -> Exit {
    let paths = [file, Path::new("--config"), config, Path::new("--data"), data];
    let arguments = paths.iter().map(|path| path.as_os_str().to_owned());
    cli::main(["snowgate", command].map(Into::into).into_iter().chain(arguments).chain(further.iter().map(Into::into)))
}

#[test]
fn the_box_in_its_place_sends_what_waits_and_the_old_one_nothing() {
    let runtime = Runtime::new().unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], daemon::free_port().unwrap()));
    let buttons = ["north", "east", "south", "west"].map(|id| (id, button(id)));
    let sensors: Vec<(&str, &str)> = buttons.iter().map(|(id, text)| (*id, text.as_str())).collect();
    let site = Site::of_sensors(&format!("[sensors.http]\nlisten = \"{listen}\""), &sensors);
    site.write_secret("token", TOKEN);
    let (broker, nowhere) = (site.broker.address().port(), daemon::free_port().unwrap());
    let reach = |from: u16, to: u16| {
        site.edit("gateway.toml", |text| text.replace(&format!("port = {from}"), &format!("port = {to}")));
    };

    // The old box has no network.
    reach(broker, nowhere);
    let mut old = site.start().unwrap();
    old.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    ["north", "east", "south"].iter().for_each(|button| press(&runtime, listen, button));
    let waiting =
        |daemon: &Daemon| daemon.metrics().unwrap().total("snowgate_outbox_messages", &[("class", "incident")]);
    assert!(wait_until(PATIENCE, || waiting(&old) >= 3.0), "{}", old.last_log_lines(20));

    let (archive, asker) =
        (site.home().join("state.tar"), ["--by", "Wang", "--unit", "Integrator", "--reason", "swap"]);
    assert_eq!(snowgate("export-state", &archive, &site.config(), &site.data(), &asker), Exit::Unavailable, "it runs");
    old.stop(PATIENCE).unwrap();
    assert_eq!(
        snowgate("export-state", &archive, &site.config(), &site.data(), &[]),
        Exit::Usage,
        "nobody says who they are"
    );
    assert_eq!(snowgate("export-state", &archive, &site.config(), &site.data(), &asker), Exit::Ok);

    // Whoever switches the old box on again by mistake.
    reach(nowhere, broker);
    let grid_system = site.grid_system();
    let mut again = site.start().unwrap();
    let status = again.wait_exit(PATIENCE).unwrap().expect("it does not run");
    assert_eq!(status.code(), Some(Exit::BadConfig as i32));
    assert!(again.log().contains("was handed over at"), "{}", again.last_log_lines(5));

    let data = site.home().join("new-data");
    assert_eq!(snowgate("import-state", &archive, &site.config(), &data, &[]), Exit::Ok);
    assert_eq!(snowgate("import-state", &archive, &site.config(), &data, &[]), Exit::Usage, "it is not empty");
    let arguments = vec!["--data".to_owned(), data.display().to_string()];
    let mut new = Daemon::start(Launch { arguments, ..site.launch() }).unwrap();
    new.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    press(&runtime, listen, "west");

    let opened = |count: usize| {
        grid_system.wait_for(PATIENCE, |received| {
            let opened = received.events.iter().filter(|event| event.kind() == "opened");
            let from: BTreeSet<String> = opened.map(|event| event.json["data"]["sensor"].to_string()).collect();
            (from.len() == count).then_some(())
        })
    };
    assert!(opened(4).is_some(), "{}", new.last_log_lines(20));
    grid_system.look(|received| {
        assert_eq!(received.duplicates, 0);
        assert_eq!(received.missing_sequences(), Vec::<u64>::new());
        assert_eq!((received.holes(), &received.gaps), (Vec::new(), &Vec::new()));
    });
    new.stop(PATIENCE).unwrap();
}
