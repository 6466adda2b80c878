//! A TCP port that comes back: while it cannot be listened on, its sensors are told so, and it is tried again with growing
//! pauses; once it can, that is told too.

use std::{io, net::SocketAddr, time::Duration};

use snowgate_core::{backoff::Backoff, ids::Id};
use tokio::{net::TcpListener, time::sleep};

use crate::intake::{Fault, Intake};

/// Pauses before a port is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A port, and whoever depends on it.
pub(crate) struct ListeningPort<'a> {
    pub address: SocketAddr,
    pub sensors: &'a [Id],
    pub intake: &'a Intake,
}

impl ListeningPort<'_> {
    /// Listens, however often it must be tried.
    pub async fn bind(&self) -> TcpListener {
        let mut backoff = Self::backoff();
        let mut told = None;
        loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => {
                    if told.is_some() {
                        self.tell_back().await;
                    }
                    return listener;
                }
                Err(error) => {
                    let why = error.to_string();
                    if told.as_ref() != Some(&why) {
                        self.tell_lost(&error).await;
                        told = Some(why);
                    }
                }
            }
            sleep(backoff.next_pause()).await;
        }
    }

    /// Pauses for whoever tries again.
    pub fn backoff() -> Backoff {
        Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)
    }

    /// Nobody can connect.
    pub async fn tell_lost(&self, error: &io::Error) {
        let fault = Fault::NotListening { address: self.address.to_string(), why: error.to_string() };
        for sensor in self.sensors {
            self.intake.fault(sensor, fault.clone()).await;
        }
    }

    /// Everybody can connect again.
    pub async fn tell_back(&self) {
        for sensor in self.sensors {
            self.intake.reached(sensor).await;
        }
    }
}
