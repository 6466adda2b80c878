//! How sensors are reached: what stands in `[source]` of a sensor's file, and what they share in gateway.toml.

use std::net::SocketAddr;

use snowgate_core::{
    choice,
    ids::Id,
    sensor::json::{JsonFormat, JsonValueSpec},
    spec,
    spec::{ByteSize, Located, Maybe, Number, TimeSpan},
    tagged,
};

use crate::spec_values::Listen;

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
        /// Where each quantity stands.
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
        /// Where each quantity stands.
        values: Vec<JsonValue>,
    }
}

spec! {
    /// A quantity in a JSON message.
    pub struct JsonValue {
        /// The quantity.
        quantity: Located<Id>,
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
        /// What is read.
        registers: Vec<ModbusRegister>,
    }
}

spec! {
    /// A quantity in a slave's registers.
    pub struct ModbusRegister {
        /// The quantity.
        quantity: Located<Id>,
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
        /// The station's number: its MN.
        station: Located<String>,
        /// File with its password; any if left out.
        password_file: Maybe<Located<String>> = Maybe::NONE,
        /// What each quantity is called.
        factors: Vec<Hj212Factor>,
    }
}

spec! {
    /// A quantity of an HJ 212 station.
    pub struct Hj212Factor {
        /// The quantity.
        quantity: Located<Id>,
        /// The factor's code, such as "w01018" (COD) or "a34004" (PM2.5).
        factor: String,
        /// Which of its figures.
        figure: Hj212Figure = Hj212Figure::Realtime,
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
        /// The station's address: ten digits.
        station: Located<String>,
        /// File with its password, four hexadecimal digits; any if left out.
        password_file: Maybe<Located<String>> = Maybe::NONE,
        /// What each quantity is called.
        elements: Vec<Sl651Element>,
    }
}

spec! {
    /// A quantity of an SL 651 station.
    pub struct Sl651Element {
        /// The quantity.
        quantity: Located<Id>,
        /// The element's identifier, two hexadecimal digits: "20" present rain, "26" cumulative rain, "39" water level, "38" voltage.
        element: String,
    }
}

spec! {
    /// Keys of a GB/T 26875.3 source.
    pub struct Gbt26875Source {
        /// The transmission device's address: twelve hexadecimal digits, as sent.
        device: Located<String>,
        /// What each quantity is.
        parts: Vec<Gbt26875Part>,
    }
}

spec! {
    /// A quantity of a fire alarm system: one state of a system or of one of its parts, 1 while it lasts.
    pub struct Gbt26875Part {
        /// The quantity.
        quantity: Located<Id>,
        /// The state.
        state: FireState,
        /// The system's address; any if left out.
        system: Maybe<u8> = Maybe::NONE,
        /// The part's address; any if left out.
        part: Maybe<u32> = Maybe::NONE,
    }
}

choice! {
    /// States that fire alarm systems and their parts tell of.
    pub enum FireState {
        /// 火警.
        Fire = "fire",
        /// 故障.
        Fault = "fault",
        /// 屏蔽.
        Shielded = "shielded",
        /// 监管.
        Supervised = "supervised",
    }
}

spec! {
    /// What sensors share: who is listened to, and how much is taken.
    pub struct SensorsSpec {
        /// Where messages over HTTP are taken; nowhere if left out.
        http: Maybe<Listen> = Maybe::NONE,
        /// Where HJ 212 stations connect; nowhere if left out.
        hj212: Maybe<Listen> = Maybe::NONE,
        /// Where SL 651 stations connect; nowhere if left out.
        sl651: Maybe<Listen> = Maybe::NONE,
        /// Where GB/T 26875.3 transmission devices connect; nowhere if left out.
        gbt26875: Maybe<Listen> = Maybe::NONE,
        /// The most readings a second of one sensor; what is more is counted, named, and not published.
        most_a_second: Number = Number(50.0),
        /// The longest message, in any protocol.
        longest_message: ByteSize = ByteSize(64 << 10),
        /// How often readings are published.
        publish_every: TimeSpan = TimeSpan::secs(10),
        /// Brokers beside the one that incidents go to.
        brokers: Vec<SensorBrokerSpec> = Vec::new(),
        /// Modbus lines.
        buses: Vec<ModbusBusSpec> = Vec::new(),
    }
}
