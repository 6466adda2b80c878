//! How sensors are reached: what stands in `[source]` of a sensor's file, and what the adapters share in gateway.toml.
//!
//! Each protocol says in `[[source.values]]` what a sensor measures: a [`QuantitySpec`], and where in the protocol it stands.

use snowgate_core::{
    choice,
    ids::Id,
    sensor::{
        json::{JsonFormat, JsonValueSpec},
        spec::QuantitySpec,
    },
    spec,
    spec::{Located, Maybe, TimeSpan},
    tagged,
};

tagged! {
    /// How a sensor is reached.
    pub enum SourceSpec by "protocol" {
        /// JSON messages on an MQTT topic: of ChirpStack, of The Things Stack, or anybody's.
        "mqtt" => Mqtt(MqttSource),
        /// JSON messages that a device or platform posts over HTTP.
        "http" => Http(HttpSource),
        /// Registers that are polled over Modbus TCP or RTU.
        "modbus" => Modbus(ModbusSource),
        /// HJ 212-2017 (环保), a station that connects over TCP.
        "hj212" => Hj212(Hj212Source),
        /// SL 651-2014 (水文), a station that connects over TCP, HEX coding.
        "sl651" => Sl651(Sl651Source),
        /// GB/T 26875.3-2011 (消防), a user transmission device that connects over TCP.
        "gbt26875" => Gbt26875(Gbt26875Source),
    }
}

spec! {
    /// Keys of a source on MQTT.
    pub struct MqttSource {
        /// The broker's id, as in gateway.toml; the broker to which incidents go if left out.
        broker: Maybe<Located<Id>> = Maybe::NONE,
        /// The topic; `+` and `#` stand for any.
        topic: Located<String>,
        /// Whose messages they are.
        format: JsonFormat = JsonFormat::Plain,
        /// JSON pointer to the time of measurement, where it differs from the format's own.
        time: Maybe<String> = Maybe::NONE,
        /// What it measures, and where each quantity stands.
        values: Vec<JsonValue>,
    }
}

spec! {
    /// Keys of a source over HTTP: POST /sensors/ID.
    pub struct HttpSource {
        /// Whose messages they are.
        format: JsonFormat = JsonFormat::Plain,
        /// JSON pointer to the time of measurement, where it differs from the format's own.
        time: Maybe<String> = Maybe::NONE,
        /// File with the token that this sensor's messages carry (Authorization: Bearer).
        token_file: Located<String>,
        /// What it measures, and where each quantity stands.
        values: Vec<JsonValue>,
    }
}

spec! {
    /// A quantity in a JSON message.
    pub struct JsonValue {
        /// What it measures.
        flatten quantity: QuantitySpec,
        /// Where it stands.
        flatten value: JsonValueSpec,
    }
}

spec! {
    /// Keys of a Modbus source.
    pub struct ModbusSource {
        /// The bus's id, as in gateway.toml.
        bus: Located<Id>,
        /// The slave's address.
        slave: Located<u8>,
        /// How often it is polled.
        poll_every: TimeSpan = TimeSpan::secs(10),
        /// How long an answer may take.
        timeout: TimeSpan = TimeSpan::secs(1),
        /// What it measures, and where each quantity stands.
        values: Vec<ModbusRegister>,
    }
}

spec! {
    /// A quantity in a slave's registers.
    pub struct ModbusRegister {
        /// What it measures.
        flatten quantity: QuantitySpec,
        /// Which table it stands in.
        table: ModbusTable = ModbusTable::Holding,
        /// Its address, counted from 0.
        address: u16,
        /// How it is written.
        kind: ModbusKind = ModbusKind::U16,
        /// Which of two registers comes first.
        word_order: WordOrder = WordOrder::HighFirst,
    }
}

choice! {
    /// Modbus's tables, and the functions that read them.
    pub enum ModbusTable {
        /// Function 1.
        Coils = "coils",
        /// Function 2.
        Discrete = "discrete_inputs",
        /// Function 3.
        Holding = "holding",
        /// Function 4.
        Input = "input",
    }
}

choice! {
    /// How a value is written in registers.
    pub enum ModbusKind {
        /// One bit: a coil or a discrete input.
        Bit = "bit",
        /// One register.
        U16 = "u16",
        /// One register, two's complement.
        I16 = "i16",
        /// Two registers.
        U32 = "u32",
        /// Two registers, two's complement.
        I32 = "i32",
        /// Two registers, IEEE 754.
        F32 = "f32",
    }
}

choice! {
    /// Which of two registers comes first.
    pub enum WordOrder {
        /// The high one.
        HighFirst = "high_first",
        /// The low one.
        LowFirst = "low_first",
    }
}

spec! {
    /// Keys of an HJ 212 source.
    pub struct Hj212Source {
        /// The station's number, its MN, as the station shows it: up to 24 letters and digits.
        station: Located<String>,
        /// File with its password (PW); any password will do if left out.
        password_file: Maybe<Located<String>> = Maybe::NONE,
        /// What it measures, and what each quantity is called.
        values: Vec<Hj212Factor>,
    }
}

spec! {
    /// A quantity of an HJ 212 station.
    pub struct Hj212Factor {
        /// What it measures.
        flatten quantity: QuantitySpec,
        /// The factor's code, such as "w01018" (COD) or "a34004" (PM2.5), without "-Rtd" or the like.
        factor: String,
        /// Which of its figures.
        figure: Hj212Figure = Hj212Figure::Realtime,
        /// In which messages; if left out, in real-time data for Rtd and in minute data for the other figures.
        data: Maybe<Hj212Data> = Maybe::NONE,
    }
}

choice! {
    /// The messages that carry measurements.
    pub enum Hj212Data {
        /// Real-time data (CN 2011).
        Realtime = "realtime",
        /// Data of some minutes (CN 2051).
        Minute = "minute",
        /// Data of an hour (CN 2061).
        Hour = "hour",
        /// Data of a day (CN 2031).
        Day = "day",
    }
}

choice! {
    /// The figures of a factor.
    pub enum Hj212Figure {
        /// The present value (Rtd).
        Realtime = "Rtd",
        /// The mean of a minute, hour or day (Avg).
        Average = "Avg",
        /// The least (Min).
        Least = "Min",
        /// The most (Max).
        Most = "Max",
        /// The sum (Cou).
        Sum = "Cou",
    }
}

spec! {
    /// Keys of an SL 651 source.
    pub struct Sl651Source {
        /// The station's address: ten digits, with the leading zeros.
        station: Located<String>,
        /// File with its password, four hexadecimal digits; any password will do if left out.
        password_file: Maybe<Located<String>> = Maybe::NONE,
        /// Whether the station is told to stay connected after its reports. Write false for one that runs on a battery and dials
        /// in for each report: then it is no fault that it hangs up.
        stay_online: bool = true,
        /// What it measures, and what each quantity is called.
        values: Vec<Sl651Element>,
    }
}

spec! {
    /// A quantity of an SL 651 station.
    pub struct Sl651Element {
        /// What it measures.
        flatten quantity: QuantitySpec,
        /// The element's identifier, two hexadecimal digits: "20" present rain, "26" cumulative rain, "39" water level,
        /// "38" voltage; "F4" rain and "F5" water level in steps of 5 minutes (hourly reports); "FF04" a maker's own.
        element: String,
    }
}

spec! {
    /// Keys of a GB/T 26875.3 source.
    pub struct Gbt26875Source {
        /// The transmission device's address: twelve hexadecimal digits in the order in which they are sent, as the log names
        /// a device that nobody knows.
        device: Located<String>,
        /// What it tells of, and what each quantity is.
        values: Vec<Gbt26875Part>,
    }
}

spec! {
    /// A quantity of a fire alarm system: one state, 1 while any system or part it is about is in it and 0 otherwise.
    pub struct Gbt26875Part {
        /// What it measures.
        flatten quantity: QuantitySpec,
        /// The state.
        state: FireState,
        /// The system's address; any system, and the transmission device itself, if left out.
        system: Maybe<u8> = Maybe::NONE,
        /// The part's address, as a number (four bytes, the low one first); the system itself and any part if left out.
        part: Maybe<u32> = Maybe::NONE,
    }
}

choice! {
    /// States that fire alarm systems and their parts tell of.
    pub enum FireState {
        /// 火警: a detector's fire, or an alarm given by hand.
        Fire = "fire",
        /// 故障: fault.
        Fault = "fault",
        /// 屏蔽: shielded, switched off.
        Shielded = "shielded",
        /// 监管: a supervised device, such as a valve, has left its normal state.
        Supervised = "supervised",
    }
}

impl SourceSpec {
    /// Everything the sensor measures, in the order of its file.
    pub fn quantities(&self) -> Vec<&QuantitySpec> {
        match self {
            Self::Mqtt(source) => source.values.iter().map(|value| &value.quantity).collect(),
            Self::Http(source) => source.values.iter().map(|value| &value.quantity).collect(),
            Self::Modbus(source) => source.values.iter().map(|value| &value.quantity).collect(),
            Self::Hj212(source) => source.values.iter().map(|value| &value.quantity).collect(),
            Self::Sl651(source) => source.values.iter().map(|value| &value.quantity).collect(),
            Self::Gbt26875(source) => source.values.iter().map(|value| &value.quantity).collect(),
        }
    }
}

spec! {
    /// A TCP port that stations of one protocol connect to.
    pub struct ListenSpec {
        /// Address and port, such as "0.0.0.0:9212".
        listen: Located<String>,
        /// The most connections at once.
        max_connections: Located<u32> = Located::nowhere(64),
        /// A connection on which nothing is heard for so long is closed.
        idle_after: TimeSpan = TimeSpan::secs(900),
    }
}

spec! {
    /// A Modbus line: a TCP gateway or a serial port; one of `tcp` and `serial`.
    pub struct ModbusBusSpec {
        /// Name that sensors refer to.
        id: Located<Id>,
        /// Host and port of a Modbus TCP device or gateway.
        tcp: Maybe<Located<String>> = Maybe::NONE,
        /// Serial port of a Modbus RTU line, such as "/dev/ttyS0".
        serial: Maybe<Located<String>> = Maybe::NONE,
        /// Bits a second on the serial line.
        baud: Located<u32> = Located::nowhere(9600),
        /// Parity on the serial line.
        parity: Parity = Parity::None,
        /// Stop bits on the serial line.
        stop_bits: Located<u8> = Located::nowhere(1),
    }
}

choice! {
    /// The parity bit of a serial line.
    pub enum Parity {
        /// None.
        None = "none",
        /// Even.
        Even = "even",
        /// Odd.
        Odd = "odd",
    }
}
