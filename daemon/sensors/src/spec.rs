//! How sensors are reached: what stands in `[source]` of a sensor's file, and what the adapters share in gateway.toml.
//!
//! Each protocol says in `[[source.values]]` what a sensor measures: a [`QuantitySpec`], and where in the protocol it stands.

use snowgate_core::{
    choice,
    ids::Id,
    sensor::{
        json::{JsonFormat, JsonOptions, JsonPlan, JsonPointer, JsonReader, JsonValueSpec},
        spec::QuantitySpec,
    },
    spec,
    spec::{Located, Maybe, Span, TimeSpan},
    tagged,
};

use crate::mqtt::TopicFilter;

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
        /// The topic; `+` stands for any one level, a last `#` for all that follow.
        topic: Located<TopicFilter>,
        /// Whose messages they are.
        format: JsonFormat = JsonFormat::Plain,
        /// The only device whose messages count, where several share the topic: its EUI, or its name; any if left out.
        device: Maybe<Located<String>> = Maybe::NONE,
        /// JSON pointer to the device's name, where it differs from the format's own.
        device_at: Maybe<JsonPointer> = Maybe::NONE,
        /// JSON pointer to the time of measurement, where it differs from the format's own.
        time: Maybe<JsonPointer> = Maybe::NONE,
        /// What it measures, and where each quantity stands.
        values: Vec<JsonValue>,
    }
}

impl MqttSource {
    /// How its messages are read.
    pub(crate) fn json(&self) -> JsonOptions<'_> {
        JsonOptions {
            format: self.format,
            time: self.time.as_ref(),
            device_at: self.device_at.as_ref(),
            device: self.device.as_ref().map(|device| device.as_str()),
        }
    }

    /// What its keys say together: where it is and what is wrong.
    pub fn contradiction(&self) -> Option<(Span, &'static str)> {
        let device = self.device.as_ref()?;
        let nowhere = self.device_at.is_none() && self.format.device().is_none();
        nowhere
            .then_some((device.span, "messages of this format have no device: say where its name stands (device_at)"))
    }
}

spec! {
    /// Keys of a source over HTTP: POST /sensors/ID.
    pub struct HttpSource {
        /// Whose messages they are.
        format: JsonFormat = JsonFormat::Plain,
        /// JSON pointer to the time of measurement, where it differs from the format's own.
        time: Maybe<JsonPointer> = Maybe::NONE,
        /// File with the token that this sensor's messages carry (Authorization: Bearer).
        token_file: Located<String>,
        /// What it measures, and where each quantity stands.
        values: Vec<JsonValue>,
    }
}

impl HttpSource {
    /// How its messages are read.
    pub(crate) fn json(&self) -> JsonOptions<'_> {
        JsonOptions { time: self.time.as_ref(), ..JsonOptions::of(self.format) }
    }
}

spec! {
    /// Where sensors post their messages: plain HTTP; encryption is left to a reverse proxy.
    pub struct HttpListenSpec {
        /// Address and port, such as "127.0.0.1:9080".
        listen: Located<String>,
        /// The most connections at once.
        max_connections: Located<u32> = Located::nowhere(64),
        /// The most messages a second of one sensor, on average; ten times as many at once.
        most_a_second: Located<u32> = Located::nowhere(20),
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

/// A reader of a sensor's JSON messages.
pub(crate) fn json_reader(plan: &mut JsonPlan, options: JsonOptions<'_>, values: &[JsonValue]) -> JsonReader {
    let quantities = values.iter().map(|value| (value.quantity.id.value.clone(), value.value.clone()));
    JsonReader::new(plan, options, quantities)
}

spec! {
    /// Keys of a Modbus source.
    pub struct ModbusSource {
        /// The bus's id, as in gateway.toml.
        bus: Located<Id>,
        /// The slave's address: 1 to 247 on a serial line; over TCP also 0 and 255, as its manual says.
        slave: Located<u8>,
        /// How often it is polled.
        poll_every: Located<TimeSpan> = Located::nowhere(TimeSpan::secs(10)),
        /// How long an answer may take.
        timeout: Located<TimeSpan> = Located::nowhere(TimeSpan::secs(1)),
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
        /// The address of its first register, counted from 0 as on the wire: what a manual calls 40001 is holding register 0.
        address: Located<u16>,
        /// How it is written; "bit" for coils and discrete inputs.
        kind: ModbusKind = ModbusKind::U16,
        /// The order in which its bytes are sent, "A" the most significant: "ABCD" is Modbus's own, "CDAB" sends the low
        /// register first. Of kinds in one register the first two letters hold, of kinds in four the pattern goes on.
        byte_order: ByteOrder = ByteOrder::Abcd,
        /// Which bit of a holding or input register it is, 0 the least significant; with kind = "bit" there, and only there.
        bit: Maybe<Located<u8>> = Maybe::NONE,
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
        /// One bit: a coil, a discrete input, or a bit of a register.
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
        /// Four registers; exact up to 2^53.
        U64 = "u64",
        /// Four registers, two's complement; exact up to 2^53.
        I64 = "i64",
        /// Four registers, IEEE 754.
        F64 = "f64",
    }
}

choice! {
    /// The order in which the bytes of a value are sent, "A" the most significant.
    pub enum ByteOrder {
        /// High register first, high byte first: Modbus's own.
        Abcd = "ABCD",
        /// Low register first, high byte first: "word swap".
        Cdab = "CDAB",
        /// High register first, low byte first: "byte swap".
        Badc = "BADC",
        /// Low register first, low byte first: little-endian.
        Dcba = "DCBA",
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
        /// Host and port of a Modbus TCP device or gateway, such as "192.168.1.30:502"; 502 if the port is left out.
        tcp: Maybe<Located<String>> = Maybe::NONE,
        /// Serial port of a Modbus RTU line, such as "/dev/ttyS0".
        serial: Maybe<Located<String>> = Maybe::NONE,
        /// Bits a second on the serial line.
        baud: Located<u32> = Located::nowhere(9600),
        /// Parity on the serial line; a character has 8 data bits.
        parity: Parity = Parity::None,
        /// Stop bits on the serial line.
        stop_bits: Located<u8> = Located::nowhere(1),
        /// Quiet time before each request, for devices that need longer to turn round; a serial line is always given the
        /// 3.5 characters of the standard.
        pause: Located<TimeSpan> = Located::nowhere(TimeSpan::millis(0)),
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

#[cfg(test)]
mod tests {
    use snowgate_core::spec::read_table;

    use super::*;

    const LEVEL: &str = "[[values]]\nid = 'level'\npointer = '/level'";

    fn mqtt(keys: &str) -> Result<MqttSource, String> {
        let text = format!("{keys}\n{LEVEL}");
        read_table(&mut toml_span::parse(&text).unwrap()).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn topics_and_pointers_are_checked_where_they_stand() {
        assert_eq!(mqtt("topic = 'water/+/level'").unwrap().topic.as_str(), "water/+/level");
        for (keys, why) in [
            ("topic = 'water/#/level'", "only at the end"),
            ("topic = 3", "a topic like"),
            ("topic = 'water'\ntime = 'when'", "write \\\"/when\\\""),
            ("topic = 'water'\ndevice_at = '/~'", "~0"),
        ] {
            let error = mqtt(keys).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_device_must_stand_somewhere_in_the_message() {
        let contradiction = |keys: &str| mqtt(keys).unwrap().contradiction();
        for keys in [
            "topic = 'a/+'",
            "topic = 'a/+'\nformat = 'chirpstack'\ndevice = '24e124713d123456'",
            "topic = 'a/+'\ndevice = '17'\ndevice_at = '/id'",
        ] {
            assert_eq!(contradiction(keys), None, "{keys}");
        }
        let (span, why) = contradiction("topic = 'a/+'\ndevice = '17'").unwrap();
        assert!(span.start > 14 && why.contains("device_at"), "{why}");
    }
}
