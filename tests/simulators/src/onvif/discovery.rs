//! WS-Discovery from the device's side: hears questions sent to the group, and answers those for its type.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt::set_socket_reuseaddr};

use super::between;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const PORT: u16 = 3702;
/// How often it looks whether it is to stop.
const TICK: Duration = Duration::from_millis(20);

/// Answers until dropped.
pub struct Responder {
    endpoint: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Joins the group on an interface, and answers for the device whose service is at `service`.
    pub fn start(interface: Ipv4Addr, device_type: &'static str, model: &str, service: &str) -> io::Result<Self> {
        // Several devices on one machine share the port.
        let shared = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        set_socket_reuseaddr(&shared, true)?;
        bind(&shared, &SocketAddrV4::new(GROUP, PORT))?;
        let hears = UdpSocket::from(shared);
        hears.join_multicast_v4(&GROUP, &interface)?;
        hears.set_read_timeout(Some(TICK))?;
        let answers = UdpSocket::bind((interface, 0))?;
        // Made of the address, which nobody else has: a reference is for ever.
        let endpoint = format!("urn:uuid:00000000-0000-4000-8000-{:012x}", answers.local_addr()?.port());
        let found = format!(
            "<d:ProbeMatch><a:EndpointReference><a:Address>{endpoint}</a:Address></a:EndpointReference>\
             <d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>\
             <d:Scopes>onvif://www.onvif.org/name/East%20Gate onvif://www.onvif.org/hardware/{model}</d:Scopes>\
             <d:XAddrs>{service}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch>"
        );
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("onvif-discovery".into()).spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut seen = BTreeSet::new();
                let mut datagram = vec![0; 65_536];
                while !stop.load(Ordering::Relaxed) {
                    let Ok((length, from)) = hears.recv_from(&mut datagram) else { continue };
                    let text = String::from_utf8_lossy(datagram.get(..length).unwrap_or_default()).into_owned();
                    // A client that is gone is no matter of the device's.
                    drop(answer(&answers, from, &text, device_type, &found, &mut seen));
                }
            }
        })?;
        Ok(Self { endpoint, stop, thread: Some(thread) })
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so already.
            let _ = thread.join();
        }
    }
}

/// Answers a question that it has not heard yet: after some noise, and twice, as over UDP every answer is repeated.
fn answer(
    socket: &UdpSocket,
    from: SocketAddr,
    question: &str,
    device_type: &str,
    found: &str,
    seen: &mut BTreeSet<String>,
) -> io::Result<()> {
    let id = between(question, "MessageID>", "<").unwrap_or_default();
    let is_probe = question.contains("http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe<");
    let is_asked = between(question, "Types ", "</").is_some_and(|types| types.ends_with(&format!(":{device_type}")));
    if !is_probe || !is_asked || !seen.insert(id.to_owned()) {
        return Ok(());
    }
    for noise in [&b"\xff\x00noise"[..], message("urn:uuid:of-another-question", found).as_bytes()] {
        socket.send_to(noise, from)?;
    }
    let answer = message(id, found);
    socket.send_to(answer.as_bytes(), from)?;
    socket.send_to(answer.as_bytes(), from).map(drop)
}

fn message(relates_to: &str, found: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\" xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\"><s:Header>\
         <a:RelatesTo>{relates_to}</a:RelatesTo><a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</a:Action>\
         </s:Header><s:Body><d:ProbeMatches>{found}</d:ProbeMatches></s:Body></s:Envelope>"
    )
}
