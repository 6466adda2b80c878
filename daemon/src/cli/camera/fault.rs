//! What to do about a stream that cannot be used, and how the command ends.

use super::super::exit::Exit;
use crate::camera::health::CameraFault;

/// Where an integrator says how a camera is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// On the command line.
    Arguments,
    /// In the camera's file.
    File,
}

/// What an integrator does about it.
pub fn remedy(fault: &CameraFault, said: Said) -> &'static str {
    match (fault, said) {
        (CameraFault::Address { .. }, Said::File) => {
            "write it like rtsp://192.168.1.20:554/stream1; give the user as username and the password in a file as password_file in [stream]"
        }
        (CameraFault::PasswordNeeded, Said::File) => "give username and password_file in [stream] of the camera's file",
        (CameraFault::ServerError { .. }, Said::File) => {
            "the camera may have too many viewers, or not allow this transport: try transport = \"tcp\" in [stream], or restart it"
        }
        (CameraFault::Silent { .. }, Said::File) => {
            "over UDP a firewall may drop the pictures: try transport = \"tcp\" in [stream]; else restart the camera"
        }
        (fault, _) => on_the_command_line(fault),
    }
}

fn on_the_command_line(fault: &CameraFault) -> &'static str {
    match fault {
        CameraFault::Address { .. } => {
            "write it like rtsp://192.168.1.20:554/stream1; give the user as --username and the password in a file as --password-file"
        }
        CameraFault::NoAddress { .. } => {
            "look at the media gateway: is the camera online there, and its channel right?"
        }
        CameraFault::UnknownHost { .. } => "check the spelling, or use the camera's IP address",
        CameraFault::NoAnswer { .. } => {
            "check power, cable and address; ping the camera; a firewall may drop the connection"
        }
        CameraFault::Unreachable { .. } => {
            "the port may be another one (554 is usual), or RTSP is switched off in the camera"
        }
        CameraFault::NotRtsp { .. } => "this is another service's port: 80 and 8000 are not RTSP, 554 usually is",
        CameraFault::Certificate { .. } | CameraFault::CaFile { .. } => {
            "use rtsp:// on a closed network, or install the authority's certificate"
        }
        CameraFault::WrongPassword => {
            "check user and password at the camera's web page; do not try often: many cameras lock the account"
        }
        CameraFault::PasswordNeeded => "give --username and --password-file",
        CameraFault::NotFound => "look the path up in the camera's manual or web page; ONVIF Device Manager shows it",
        CameraFault::ServerError { .. } => {
            "the camera may have too many viewers, or not allow this transport: try --transport tcp, or restart it"
        }
        CameraFault::NoVideo => "this is a path for sound only: ask for the video path of the camera",
        CameraFault::Unsupported(_) => {
            "set the camera to H.264 (Main or High) or H.265 (Main), 8 bits, 4:2:0; switch HDR and 10 bit off"
        }
        CameraFault::Silent { .. } => {
            "over UDP a firewall may drop the pictures: try --transport tcp; else restart the camera"
        }
        CameraFault::NoKeyFrame => {
            "set the camera's I-frame interval to 1 to 2 s; switch smart coding and intra refresh off"
        }
        CameraFault::Ended | CameraFault::Broken => {
            "the camera may have too many viewers, or the network is bad: try again"
        }
        CameraFault::Internal { .. } => "see the Debian packages that Snowgate needs in README.md",
    }
}

/// How the command ends.
pub fn exit(fault: &CameraFault) -> Exit {
    match fault {
        CameraFault::Address { .. } => Exit::Usage,
        CameraFault::UnknownHost { .. } => Exit::NoHost,
        CameraFault::NoAddress { .. }
        | CameraFault::NoAnswer { .. }
        | CameraFault::Unreachable { .. }
        | CameraFault::ServerError { .. }
        | CameraFault::Silent { .. }
        | CameraFault::Internal { .. } => Exit::Unavailable,
        CameraFault::NotRtsp { .. } | CameraFault::Certificate { .. } => Exit::Protocol,
        CameraFault::WrongPassword | CameraFault::PasswordNeeded => Exit::NoPermission,
        CameraFault::NotFound | CameraFault::CaFile { .. } => Exit::NoInput,
        CameraFault::NoVideo | CameraFault::Unsupported(_) | CameraFault::NoKeyFrame => Exit::BadData,
        CameraFault::Ended | CameraFault::Broken => Exit::Io,
    }
}
