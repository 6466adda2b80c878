//! What was found, for people.

use std::io::{self, Write};

use super::{Report, Reported, cameras::CameraFile};
use crate::camera::onvif::{
    choice::LEAST_WIDTH,
    device::{Encoding, Information, Profile},
    discovery::{Asked, GROUP},
};

/// Prints each device, and the files of its cameras.
pub fn print(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (index, reported) in report.devices.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        device(&mut out, reported)?;
    }
    if report.devices.iter().any(|reported| !reported.cameras.is_empty()) {
        writeln!(out, "\n# next: fill in the grid, and look at each stream with snowgate camera probe")?;
    }
    out.flush()
}

fn device(out: &mut impl Write, reported: &Reported) -> io::Result<()> {
    let Reported { device, remedy, cameras } = reported;
    let Information { manufacturer, model, firmware, serial } = &device.information;
    let host = device.host.to_string();
    writeln!(out, "# {}", known(", ", [&Some(host), &device.name, &device.location]))?;
    let make = Some(known(" ", [manufacturer, model])).filter(|make| !make.is_empty());
    let firmware = firmware.as_ref().map(|version| format!("firmware {version}"));
    let serial = serial.as_ref().map(|number| format!("serial {number}"));
    let device_line = known(", ", [&make, &firmware, &serial]);
    if !device_line.is_empty() {
        writeln!(out, "# device   {device_line}")?;
    }
    device.service.iter().try_for_each(|service| writeln!(out, "# service  {service}"))?;
    device.profiles.iter().try_for_each(|one| profile(out, one, cameras))?;
    device.notes.iter().try_for_each(|note| writeln!(out, "# note     {note}"))?;
    if let (Some(fault), Some(remedy)) = (&device.fault, remedy) {
        writeln!(out, "# fault    {fault}; {remedy}")?;
    } else if cameras.is_empty() {
        writeln!(out, "# fault    it has no stream in H.264 or H.265: set one of them at the camera's web page")?;
    }
    cameras.iter().try_for_each(|camera| file(out, camera))
}

/// What is known of these, in order.
fn known<const N: usize>(separator: &str, texts: [&Option<String>; N]) -> String {
    texts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(separator)
}

fn profile(out: &mut impl Write, profile: &Profile, cameras: &[CameraFile]) -> io::Result<()> {
    let size = match (profile.width, profile.height) {
        (Some(width), Some(height)) => format!("{width} × {height}"),
        _ => "size unknown".to_owned(),
    };
    let fps = profile.fps.map(|fps| format!(", up to {fps} pictures a second")).unwrap_or_default();
    let gop = profile.gop.map(|gop| format!(", key frame every {gop}")).unwrap_or_default();
    let seconds = profile.gop.zip(profile.fps).map(|(gop, fps)| format!(" ({:.1} s)", f64::from(gop) / fps));
    let is = |token: &Option<String>| token.as_ref() == Some(&profile.token);
    let chosen = match profile.encoding {
        Encoding::MotionJpeg | Encoding::Other => ": left out, Snowgate takes H.264 and H.265",
        _ if cameras.iter().any(|camera| camera.detect == profile.token) => match profile.width {
            Some(width) if width < LEAST_WIDTH => ": detect, though it is small",
            _ => ": detect",
        },
        _ if cameras.iter().any(|camera| is(&camera.record)) => ": record",
        _ => "",
    };
    writeln!(
        out,
        "# profile  {}: {}, {size}{fps}{gop}{}{chosen}",
        profile.name.as_ref().unwrap_or(&profile.token),
        profile.encoding.as_str(),
        seconds.unwrap_or_default()
    )?;
    if let Some(uri) = &profile.uri {
        writeln!(out, "#          {}", uri.url)?;
        uri.notes.iter().try_for_each(|note| writeln!(out, "#          note: {note}"))?;
    }
    profile.fault.iter().try_for_each(|fault| writeln!(out, "#          no address: {fault}"))
}

fn file(out: &mut impl Write, camera: &CameraFile) -> io::Result<()> {
    match (&camera.written, camera.kept) {
        (Some(path), _) => writeln!(out, "# written to {}", path.display())?,
        (None, Some(kept)) => writeln!(out, "# {}.toml: {kept}", camera.id)?,
        (None, None) => {}
    }
    write!(out, "\n{}", camera.camera_file)
}

/// Says on which interfaces nobody could be asked.
pub fn faults(asked: &[Asked]) {
    for Asked { interface, fault, .. } in asked {
        if let Some(fault) = fault {
            eprintln!("snowgate: {} ({}) could not be asked on: {fault}", interface.name, interface.address);
        }
    }
}

/// Says what to look at where nothing answered.
pub fn nothing_found(asked: &[Asked]) {
    eprintln!("snowgate: no ONVIF device answered");
    for Asked { interface, strange, .. } in asked.iter().filter(|asked| asked.fault.is_none()) {
        let what = if *strange == 0 {
            "nothing came".to_owned()
        } else {
            format!("{strange} datagrams came that are no answers")
        };
        eprintln!("  {} ({}): asked, {what}", interface.name, interface.address);
    }
    eprintln!(
        "  check that the cameras have power and are in the same network as one of these interfaces; that ONVIF, and discovery, are \
         switched on at their web pages; that no switch or firewall drops multicast ({GROUP} over UDP)\n  \
         a camera in another network is asked with --host ADDRESS"
    );
}
