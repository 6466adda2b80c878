//! The objects of a GB/T 26875.3 data unit.

use jiff::Timestamp;

use super::{DecodeError, clock};

/// Bytes of the time after an object.
const TIME: usize = 6;

/// One object and when it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What is told.
    pub object: Object<'a>,
    /// When it came about; `None` where the sender leaves the time out or its clock shows no moment.
    pub at: Option<Timestamp>,
}

/// What one object tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object<'a> {
    /// 1: how a fire protection system is.
    SystemState {
        /// Which one.
        system: System,
        /// How it is.
        state: SystemState,
    },
    /// 2: how one of its components is.
    ComponentState {
        /// The system.
        system: System,
        /// The component.
        component: Component,
        /// How it is.
        state: ComponentState,
        /// What the installer calls it, GB 18030, without the zeros that fill it up.
        description: &'a [u8],
    },
    /// 3: what a component measures.
    ComponentAnalogue {
        /// The system.
        system: System,
        /// The component.
        component: Component,
        /// What it measures.
        analogue: Analogue,
    },
    /// 4: what was done at a system.
    SystemOperation {
        /// The system.
        system: System,
        /// What was done.
        operation: Operation,
        /// The operator's number.
        operator: u8,
    },
    /// 8: a system's clock, which is the entry's time.
    SystemTime {
        /// The system.
        system: System,
    },
    /// 21: how the transmission device is.
    DeviceState(DeviceState),
    /// 24: what was done at the transmission device.
    DeviceOperation {
        /// What was done.
        operation: DeviceOperation,
        /// The operator's number.
        operator: u8,
    },
    /// 25: the transmission device's software.
    DeviceVersion {
        /// Before the point.
        major: u8,
        /// After it.
        minor: u8,
    },
    /// 28: the transmission device's clock, which is the entry's time.
    DeviceTime,
    /// All objects of a type that is not read here, as sent, with their times.
    Raw {
        /// Their type.
        type_flag: u8,
        /// How many there are.
        count: u8,
        /// Their bytes.
        bytes: &'a [u8],
    },
}

/// A fire protection system of a building.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct System {
    /// Its type; see [`super::system_name`].
    pub kind: u8,
    /// Its address.
    pub address: u8,
}

/// A component of such a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Component {
    /// Its type; see [`super::component_name`].
    pub kind: u8,
    /// Its address. Makers divide it into loop and point each in their own way.
    pub address: u32,
}

macro_rules! bits {
    ($(#[$doc:meta])* $name:ident($word:ty) { $($(#[$bit_doc:meta])* $bit:literal = $method:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name(pub $word);

        impl $name {
            $($(#[$bit_doc])*
            pub fn $method(self) -> bool {
                self.0 & (1 << $bit) != 0
            })*

            /// The names of all that is true, in the order of the bits.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$((self.$method(), stringify!($method)),)*].into_iter().filter(|(is, _)| *is).map(|(_, name)| name)
            }
        }
    };
}

bits! {
    /// A system's state word. Bits 14 and 15 are reserved.
    SystemState(u16) {
        /// In normal operation; under test if not. Makers disagree about this bit: do not mute an alarm by it.
        0 = normal_operation,
        /// Fire.
        1 = fire,
        /// Fault.
        2 = fault,
        /// Something is shielded (switched off).
        3 = shielded,
        /// A supervised device has left its normal state.
        4 = supervisory,
        /// Something is started or open.
        5 = started,
        /// A started device reports back.
        6 = feedback,
        /// A start is being delayed.
        7 = delayed,
        /// Main power fails.
        8 = main_power_fault,
        /// Backup power fails.
        9 = backup_power_fault,
        /// A bus fails.
        10 = bus_fault,
        /// Manual control; automatic if not.
        11 = manual,
        /// The configuration changed.
        12 = configuration_changed,
        /// Reset.
        13 = reset,
    }
}

bits! {
    /// A component's state word. Bits 9 to 15 are reserved.
    ComponentState(u16) {
        /// In normal operation; under test if not. Makers disagree about this bit: do not mute an alarm by it.
        0 = normal_operation,
        /// Fire.
        1 = fire,
        /// Fault.
        2 = fault,
        /// Shielded (switched off).
        3 = shielded,
        /// It has left its supervised normal state.
        4 = supervisory,
        /// Started or open.
        5 = started,
        /// Started, and reports back.
        6 = feedback,
        /// Its start is being delayed.
        7 = delayed,
        /// Its power fails.
        8 = power_fault,
    }
}

bits! {
    /// What was done at a system. Bit 7 is reserved.
    Operation(u8) {
        /// Reset.
        0 = reset,
        /// Sounders silenced.
        1 = silence,
        /// Alarm given by hand.
        2 = manual_alarm,
        /// Alarm declared over.
        3 = alarm_cleared,
        /// Self-test.
        4 = self_test,
        /// Acknowledged.
        5 = acknowledged,
        /// Test.
        6 = test,
    }
}

bits! {
    /// The transmission device's state. Bit 7 is reserved.
    DeviceState(u8) {
        /// In normal operation; under test if not. Makers disagree about this bit: do not mute an alarm by it.
        0 = normal_operation,
        /// Fire.
        1 = fire,
        /// Fault.
        2 = fault,
        /// Main power fails.
        3 = main_power_fault,
        /// Backup power fails.
        4 = backup_power_fault,
        /// The channel to the centre fails.
        5 = channel_fault,
        /// A line to what it watches fails.
        6 = line_fault,
    }
}

bits! {
    /// What was done at the transmission device. Bit 7 is reserved.
    DeviceOperation(u8) {
        /// Reset.
        0 = reset,
        /// Sounder silenced.
        1 = silence,
        /// Alarm given by hand.
        2 = manual_alarm,
        /// Alarm declared over.
        3 = alarm_cleared,
        /// Self-test.
        4 = self_test,
        /// Someone on duty answered the centre's check.
        5 = duty_answered,
        /// Test.
        6 = test,
    }
}

/// A measured value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Analogue {
    /// What is measured, 1 to 12.
    pub kind: u8,
    /// The value in the smallest unit of its kind.
    pub raw: i16,
}

impl Analogue {
    /// Name, value and unit (UCUM) of what is measured; `None` for a kind the standard does not define.
    pub fn quantity(self) -> Option<(&'static str, f64, &'static str)> {
        let (name, parts, unit) = match self.kind {
            1 => ("events", 1.0, "{event}"),
            2 => ("height", 100.0, "m"),
            3 => ("temperature", 10.0, "Cel"),
            4 => ("pressure", 10.0, "MPa"),
            5 => ("pressure", 10.0, "kPa"),
            6 => ("gas concentration", 10.0, "%{LEL}"),
            7 => ("time", 1.0, "s"),
            8 => ("voltage", 10.0, "V"),
            9 => ("current", 10.0, "A"),
            10 => ("flow", 10.0, "L/s"),
            11 => ("air flow", 10.0, "m3/min"),
            12 => ("wind speed", 1.0, "m/s"),
            _ => return None,
        };
        Some((name, f64::from(self.raw) / parts, unit))
    }
}

/// Bytes of an object without its time; `None` for a type that is not read here.
fn size_of(type_flag: u8) -> Option<usize> {
    Some(match type_flag {
        1 | 4 => 4,
        2 => 40,
        3 => 10,
        8 | 24 | 25 => 2,
        21 => 1,
        28 => 0,
        _ => return None,
    })
}

/// The entries of a data unit that is not empty.
pub(super) fn entries(data: &[u8]) -> Result<Vec<Entry<'_>>, DecodeError> {
    let &[type_flag, count, ref bytes @ ..] = data else {
        return Err(DecodeError::Unit { found: data.len() });
    };
    let Some(size) = size_of(type_flag) else {
        return Ok(vec![Entry { object: Object::Raw { type_flag, count, bytes }, at: None }]);
    };
    let objects = usize::from(count);
    let (found, timed) = (bytes.len(), size + TIME);
    let step = if found == objects * timed {
        timed
    } else if size > 0 && found == objects * size {
        size
    } else {
        return Err(DecodeError::Objects { type_flag, count, expected: objects * timed, found });
    };
    Ok(bytes
        .chunks_exact(step)
        .map(|chunk| {
            let (object, time) = chunk.split_at(size.min(chunk.len()));
            Entry { object: read(type_flag, object), at: time.try_into().ok().and_then(clock) }
        })
        .collect())
}

/// One object of a type that [`size_of`] knows, of that size.
fn read(type_flag: u8, object: &[u8]) -> Object<'_> {
    let system = |kind, address| System { kind, address };
    let component = |kind, address| Component { kind, address: u32::from_le_bytes(address) };
    match (type_flag, object) {
        (1, &[kind, address, low, high]) => {
            let state = SystemState(u16::from_le_bytes([low, high]));
            Object::SystemState { system: system(kind, address), state }
        }
        (2, &[kind, address, part, a, b, c, d, low, high, ref description @ ..]) => Object::ComponentState {
            system: system(kind, address),
            component: component(part, [a, b, c, d]),
            state: ComponentState(u16::from_le_bytes([low, high])),
            description: unfilled(description),
        },
        (3, &[kind, address, part, a, b, c, d, measured, low, high]) => Object::ComponentAnalogue {
            system: system(kind, address),
            component: component(part, [a, b, c, d]),
            analogue: Analogue { kind: measured, raw: i16::from_le_bytes([low, high]) },
        },
        (4, &[kind, address, operation, operator]) => {
            Object::SystemOperation { system: system(kind, address), operation: Operation(operation), operator }
        }
        (8, &[kind, address]) => Object::SystemTime { system: system(kind, address) },
        (21, &[state]) => Object::DeviceState(DeviceState(state)),
        (24, &[operation, operator]) => Object::DeviceOperation { operation: DeviceOperation(operation), operator },
        (25, &[major, minor]) => Object::DeviceVersion { major, minor },
        (28, &[]) => Object::DeviceTime,
        _ => Object::Raw { type_flag, count: 1, bytes: object },
    }
}

fn unfilled(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}
