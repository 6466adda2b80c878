//! What to do about a device that does not tell all, and how the command ends.

use super::super::super::exit::Exit;
use crate::camera::onvif::fault::DeviceFault;

/// What an integrator does about it.
pub fn remedy(fault: &DeviceFault) -> &'static str {
    match fault {
        DeviceFault::UserNeeded => {
            "give --username and --password-file; some cameras have users of their own for ONVIF, to be added at their web page"
        }
        DeviceFault::WrongPassword => {
            "check user and password at the camera's web page; some have users of their own for ONVIF; many lock the account \
             after a few wrong passwords"
        }
        DeviceFault::Forbidden { .. } => "give this user the right to watch at the camera's web page",
        DeviceFault::Tls { .. } => "--insecure takes certificates that a camera has signed itself; or ask it over http",
        DeviceFault::NoAnswer { .. } | DeviceFault::Unreachable { .. } | DeviceFault::OutOfTime => {
            "check power, cable and address; a firewall may drop the connection; the ONVIF port may be another one: 80, 8000, 8080 \
             and 8899 are usual"
        }
        DeviceFault::NotOnvif { .. } | DeviceFault::Redirects => {
            "switch ONVIF on at the camera's web page; its port may be another one: 80, 8000, 8080 and 8899 are usual"
        }
        DeviceFault::NoAddress
        | DeviceFault::NoMedia
        | DeviceFault::NoTime
        | DeviceFault::Refused { .. }
        | DeviceFault::Stream(_) => {
            "look its streams up in its manual or web page, and look at one with snowgate camera probe"
        }
        DeviceFault::Broken { .. } | DeviceFault::TooLarge { .. } => {
            "restart the camera and try again; update its firmware"
        }
        DeviceFault::Internal { .. } => "try again",
    }
}

/// How the command ends where no camera could be described.
pub fn exit(fault: &DeviceFault) -> Exit {
    match fault {
        DeviceFault::UserNeeded | DeviceFault::WrongPassword | DeviceFault::Forbidden { .. } => Exit::NoPermission,
        DeviceFault::NoAnswer { .. } | DeviceFault::Unreachable { .. } | DeviceFault::OutOfTime => Exit::Unavailable,
        DeviceFault::NotOnvif { .. }
        | DeviceFault::Redirects
        | DeviceFault::Tls { .. }
        | DeviceFault::TooLarge { .. }
        | DeviceFault::Refused { .. } => Exit::Protocol,
        DeviceFault::NoAddress | DeviceFault::NoMedia | DeviceFault::NoTime | DeviceFault::Stream(_) => Exit::BadData,
        DeviceFault::Broken { .. } => Exit::Io,
        DeviceFault::Internal { .. } => Exit::Software,
    }
}
