//! Registers to values.

use crate::spec::{ByteOrder, ModbusKind};

impl ModbusKind {
    /// How many registers a value takes: 1 to 4. A bit counts as one, of its own table.
    pub const fn registers(self) -> u16 {
        match self {
            Self::Bit | Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }

    /// The value that `registers` hold, as many as the kind takes and in the order in which they were sent. A bit is the
    /// lowest of its register.
    #[allow(clippy::cast_possible_truncation, reason = "each kind takes as many of the lowest bits as it has")]
    #[allow(clippy::cast_possible_wrap, reason = "two's complement")]
    #[allow(clippy::cast_precision_loss, reason = "64-bit counts above 2^53 are rounded, as documented")]
    pub fn value(self, order: ByteOrder, registers: &[u16]) -> f64 {
        let raw = raw(order, registers);
        match self {
            Self::Bit => f64::from(raw as u8 & 1),
            Self::U16 => f64::from(raw as u16),
            Self::I16 => f64::from(raw as i16),
            Self::U32 => f64::from(raw as u32),
            Self::I32 => f64::from(raw as i32),
            Self::F32 => f64::from(f32::from_bits(raw as u32)),
            Self::U64 => raw as f64,
            Self::I64 => raw as i64 as f64,
            Self::F64 => f64::from_bits(raw),
        }
    }
}

/// The registers' bits, the most significant first.
fn raw(order: ByteOrder, registers: &[u16]) -> u64 {
    let (low_register_first, low_byte_first) = match order {
        ByteOrder::Abcd => (false, false),
        ByteOrder::Cdab => (true, false),
        ByteOrder::Badc => (false, true),
        ByteOrder::Dcba => (true, true),
    };
    let append = |raw: u64, register: &u16| {
        (raw << 16) | u64::from(if low_byte_first { register.swap_bytes() } else { *register })
    };
    if low_register_first { registers.iter().rev().fold(0, append) } else { registers.iter().fold(0, append) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends the bytes of a value (A the most significant) as its order says, and reads them as registers.
    fn sent(bytes: &[u8], order: &str) -> Vec<u16> {
        let words: Vec<[u8; 2]> = bytes.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
        let swapped = order.starts_with('B') || order.starts_with('D');
        let mut words: Vec<u16> = words
            .into_iter()
            .map(|[high, low]| u16::from_be_bytes(if swapped { [low, high] } else { [high, low] }))
            .collect();
        if order.starts_with('C') || order.starts_with('D') {
            words.reverse();
        }
        words
    }

    #[test]
    fn every_kind_in_every_order_is_the_value_that_was_sent() {
        for order in [ByteOrder::Abcd, ByteOrder::Cdab, ByteOrder::Badc, ByteOrder::Dcba] {
            let read = |kind: ModbusKind, bytes: &[u8]| {
                assert_eq!(usize::from(kind.registers()) * 2, bytes.len(), "{kind}");
                kind.value(order, &sent(bytes, order.as_str()))
            };
            assert_eq!(read(ModbusKind::U16, &0xFEDC_u16.to_be_bytes()), 65_244.0);
            assert_eq!(read(ModbusKind::I16, &(-2_i16).to_be_bytes()), -2.0);
            assert_eq!(read(ModbusKind::U32, &0xFEDC_BA98_u32.to_be_bytes()), 4_275_878_552.0);
            assert_eq!(read(ModbusKind::I32, &(-123_456_i32).to_be_bytes()), -123_456.0);
            assert_eq!(read(ModbusKind::F32, &(-0.15625_f32).to_be_bytes()), -0.15625);
            assert_eq!(read(ModbusKind::U64, &0x0001_0203_0405_0607_u64.to_be_bytes()), 283_686_952_306_183.0);
            assert_eq!(read(ModbusKind::I64, &(-1_i64).to_be_bytes()), -1.0);
            assert_eq!(read(ModbusKind::F64, &1.1_f64.to_be_bytes()), 1.1);
            assert!(read(ModbusKind::F32, &f32::NAN.to_be_bytes()).is_nan());
        }
    }

    #[test]
    fn the_orders_are_what_manuals_mean_by_their_letters() {
        // 0x0A0B0C0D: A = 0A … D = 0D.
        for (order, registers) in [
            (ByteOrder::Abcd, [0x0A0B, 0x0C0D]),
            (ByteOrder::Cdab, [0x0C0D, 0x0A0B]),
            (ByteOrder::Badc, [0x0B0A, 0x0D0C]),
            (ByteOrder::Dcba, [0x0D0C, 0x0B0A]),
        ] {
            assert_eq!(ModbusKind::U32.value(order, &registers), f64::from(0x0A0B_0C0D), "{order}");
        }
    }

    #[test]
    fn missing_registers_are_no_panic() {
        assert_eq!(ModbusKind::F64.value(ByteOrder::Dcba, &[]), 0.0);
    }
}
