//! Which registers are asked for together: neighbours of one table in one request.

use snowgate_core::{ids::Id, sensor::reading::Sample};

use crate::spec::{ByteOrder, ModbusKind, ModbusRegister, ModbusTable};

/// Registers or bits that nobody wants but that are read along, rather than asking twice: an answer's seven or eight bytes
/// of frame cost as much as a few registers.
const GAP: u32 = 8;

impl ModbusTable {
    /// The function that reads it.
    pub const fn function(self) -> u8 {
        match self {
            Self::Coils => 1,
            Self::Discrete => 2,
            Self::Holding => 3,
            Self::Input => 4,
        }
    }

    /// Whether it holds bits, not registers.
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coils | Self::Discrete)
    }

    /// The most that one request may ask for (MODBUS Application Protocol V1.1b3, 6.1 to 6.4).
    pub const fn longest(self) -> u16 {
        if self.is_bits() { 2000 } else { 125 }
    }
}

/// A stretch of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The table.
    pub table: ModbusTable,
    /// The first address.
    pub start: u16,
    /// How many registers or bits; at least 1.
    pub count: u16,
}

/// What a slave answered: as many as were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Of coils or discrete inputs.
    Bits(Vec<bool>),
    /// Of holding or input registers.
    Registers(Vec<u16>),
}

/// A stretch that is read in one request, and what stands in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The stretch.
    pub stretch: Stretch,
    fields: Vec<Field>,
}

/// A quantity, and how it is read.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    quantity: Id,
    table: ModbusTable,
    address: u16,
    kind: ModbusKind,
    order: ByteOrder,
    bit: u8,
}

impl Field {
    /// The address after its last.
    fn end(&self) -> u32 {
        u32::from(self.address) + u32::from(self.kind.registers())
    }

    fn value(&self, stretch: Stretch, answer: &Answer) -> Option<f64> {
        let at = usize::from(self.address.checked_sub(stretch.start)?);
        match answer {
            Answer::Bits(bits) => bits.get(at).map(|&bit| f64::from(u8::from(bit))),
            Answer::Registers(registers) => {
                let registers = registers.get(at..at + usize::from(self.kind.registers()))?;
                Some(match self.kind {
                    ModbusKind::Bit => {
                        let register = registers.first().copied().unwrap_or_default();
                        self.kind.value(self.order, &[register.checked_shr(u32::from(self.bit)).unwrap_or_default()])
                    }
                    kind => kind.value(self.order, registers),
                })
            }
        }
    }
}

/// The blocks that together hold all values. A value beyond the last address, which checking refuses, is in none.
pub fn blocks(values: &[ModbusRegister]) -> Vec<Block> {
    let fields = values.iter().map(|value| Field {
        quantity: value.quantity.id.value.clone(),
        table: value.table,
        address: *value.address,
        kind: if value.table.is_bits() { ModbusKind::Bit } else { value.kind },
        order: value.byte_order,
        bit: value.bit.as_ref().map_or(0, |bit| bit.value),
    });
    grouped(fields.filter(|field| field.end() <= 1 << 16).collect(), Some(GAP))
}

/// Fields in blocks: joined over gaps of at most `gap`, or, if there is none, only where they overlap.
fn grouped(mut fields: Vec<Field>, gap: Option<u32>) -> Vec<Block> {
    fields.sort_by_key(|field| (field.table, field.address, field.end()));
    let mut blocks: Vec<Block> = Vec::new();
    for field in fields {
        let (start, end) = (u32::from(field.address), field.end());
        if let Some(Block { stretch, fields }) = blocks.last_mut()
            && stretch.table == field.table
        {
            let reached = u32::from(stretch.start) + u32::from(stretch.count);
            let near = gap.map_or(start < reached, |gap| start <= reached + gap);
            let joined = reached.max(end) - u32::from(stretch.start);
            if let Ok(count) = u16::try_from(joined)
                && near
                && count <= stretch.table.longest()
            {
                stretch.count = count;
                fields.push(field);
                continue;
            }
        }
        let stretch = Stretch { table: field.table, start: field.address, count: field.kind.registers() };
        blocks.push(Block { stretch, fields: vec![field] });
    }
    blocks
}

impl Block {
    /// What the answer says.
    pub fn samples(&self, answer: &Answer) -> impl Iterator<Item = (Id, Sample)> {
        self.fields.iter().filter_map(|field| {
            let value = field.value(self.stretch, answer)?;
            Some((field.quantity.clone(), Sample { value, measured: None, flagged: false }))
        })
    }

    /// Smaller blocks for a slave that refuses this one because something in it does not exist or because it is too long:
    /// first without the gaps, then each value alone. `None` if it cannot be divided.
    pub fn split(&self) -> Option<Vec<Self>> {
        [Some(0), None].into_iter().map(|gap| grouped(self.fields.clone(), gap)).find(|blocks| blocks.len() > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snowgate_core::spec::{Deserialize, Located, Maybe};

    fn register(id: &str, table: ModbusTable, address: u16, kind: ModbusKind) -> ModbusRegister {
        let mut value = toml_span::parse("id = 'x'\naddress = 0").unwrap();
        let mut register = ModbusRegister::deserialize(&mut value).unwrap();
        register.quantity.id = Located::nowhere(id.parse().unwrap());
        register.table = table;
        register.address = Located::nowhere(address);
        register.kind = kind;
        register
    }

    fn holding(addresses: &[(u16, ModbusKind)]) -> Vec<ModbusRegister> {
        let value = |(index, &(address, kind)): (usize, &(u16, ModbusKind))| {
            register(&format!("q{index}"), ModbusTable::Holding, address, kind)
        };
        addresses.iter().enumerate().map(value).collect()
    }

    fn stretches(blocks: &[Block]) -> Vec<(u16, u16)> {
        blocks.iter().map(|block| (block.stretch.start, block.stretch.count)).collect()
    }

    #[test]
    fn neighbours_are_read_together_and_strangers_are_not() {
        use ModbusKind::{F32, U16};
        assert_eq!(stretches(&blocks(&holding(&[(102, U16), (100, F32), (103, U16)]))), [(100, 4)]);
        // Eight between them are read along, nine are not.
        assert_eq!(stretches(&blocks(&holding(&[(0, U16), (9, U16), (19, U16)]))), [(0, 10), (19, 1)]);
        let both = [register("a", ModbusTable::Holding, 0, U16), register("b", ModbusTable::Input, 1, U16)];
        assert_eq!(blocks(&both).len(), 2);
    }

    #[test]
    fn no_request_is_longer_than_the_standard_allows_nor_beyond_the_last_address() {
        let all: Vec<_> = (0..300).map(|address| (address, ModbusKind::U16)).collect();
        assert_eq!(stretches(&blocks(&holding(&all))), [(0, 125), (125, 125), (250, 50)]);
        // A value is never cut in two.
        let all: Vec<_> = (0..100).map(|index| (index * 2, ModbusKind::F32)).collect();
        assert_eq!(stretches(&blocks(&holding(&all))), [(0, 124), (124, 76)]);
        let bits: Vec<_> =
            (0..2001).map(|address| register("b", ModbusTable::Coils, address, ModbusKind::Bit)).collect();
        assert_eq!(stretches(&blocks(&bits)), [(0, 2000), (2000, 1)]);
        assert_eq!(
            stretches(&blocks(&holding(&[(65_535, ModbusKind::U16), (65_535, ModbusKind::F32)]))),
            [(65_535, 1)]
        );
    }

    #[test]
    fn a_refused_block_falls_apart_at_its_gaps_then_into_values() {
        use ModbusKind::{F32, U16};
        let whole = &blocks(&holding(&[(0, U16), (1, F32), (5, U16)]))[0];
        let parts = whole.split().unwrap();
        assert_eq!(stretches(&parts), [(0, 3), (5, 1)]);
        assert_eq!(stretches(&parts[0].split().unwrap()), [(0, 1), (1, 2)]);
        assert_eq!(parts[1].split(), None);
        // Two bits of one register stay together.
        let mut bits = holding(&[(7, ModbusKind::Bit), (7, ModbusKind::Bit)]);
        bits[1].bit = Maybe(Some(Located::nowhere(15)));
        let block = &blocks(&bits)[0];
        assert_eq!(block.split(), None);
        let values: Vec<f64> =
            block.samples(&Answer::Registers(vec![0x8000])).map(|(_, sample)| sample.value).collect();
        assert_eq!(values, [0.0, 1.0]);
    }

    #[test]
    fn every_value_is_read_from_its_own_place() {
        let block = &blocks(&holding(&[(10, ModbusKind::U16), (12, ModbusKind::I32), (20, ModbusKind::I16)]))[0];
        assert_eq!(block.stretch.count, 11);
        let mut registers = vec![7; 11];
        (registers[0], registers[2], registers[3], registers[10]) = (1, 0xFFFF, 0xFFFE, 0xFFFD);
        let samples: Vec<_> =
            block.samples(&Answer::Registers(registers)).map(|(id, sample)| (id.to_string(), sample.value)).collect();
        assert_eq!(samples, [("q0".into(), 1.0), ("q1".into(), -2.0), ("q2".into(), -3.0)]);
        // An answer that is too short or of another table says nothing of what it lacks.
        assert_eq!(block.samples(&Answer::Registers(vec![1; 4])).count(), 2);
        assert_eq!(block.samples(&Answer::Bits(Vec::new())).count(), 0);
    }
}
