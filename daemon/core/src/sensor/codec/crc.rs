//! The two 16-bit checks of the frame codecs. Both shift by the reversed polynomial 0xA001 from 0xFFFF; they differ in
//! how a byte enters, so the same bytes have different checks. No tables: a frame is short.

/// CRC-16/MODBUS, as SL 651 uses it (catalogue check value of "123456789": 0x4B37).
pub fn modbus(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| shift_byte(crc ^ u16::from(byte)))
}

/// The check of HJ 212-2017, annex A: each byte meets the *high* half of the register, moved down. Not Modbus.
pub fn hj212(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| shift_byte((crc >> 8) ^ u16::from(byte)))
}

fn shift_byte(mut crc: u16) -> u16 {
    for _ in 0..8 {
        crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modbus_has_the_catalogues_check_value() {
        assert_eq!(modbus(b"123456789"), 0x4B37);
        assert_eq!(modbus(b""), 0xFFFF);
    }

    #[test]
    fn hj212_has_the_standards_example_and_is_not_modbus() {
        let sent =
            b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&";
        assert_eq!(hj212(sent), 0x1C80);
        assert_ne!(modbus(sent), 0x1C80);
    }
}
