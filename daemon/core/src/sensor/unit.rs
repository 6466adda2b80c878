//! Units of measure as UCUM writes them (The Unified Code for Units of Measure, version 2.1, case sensitive), as far as
//! sensors need them: `m`, `mm`, `Cel`, `mg/m3`, `kW.h`, `[ppm]`, `m3/s`, `%{LEL}`.
//!
//! A code is terms joined by `.` and `/`; a term is an atom with an optional metric prefix and an optional whole exponent.
//! What stands in braces says what is counted and changes nothing. `Cel` and `[degF]`, whose zero lies elsewhere, stand
//! alone. Units of one dimension convert into each other.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::spec::written_as_text;

/// The longest code that is read.
const LONGEST: usize = 64;
/// Exponents lie within this.
const MOST_EXPONENT: i8 = 9;

/// Exponents of metre, gram, second, kelvin, coulomb, candela, radian, and of what is measured on a scale of its own: bel, pH.
type Dimension = [i8; 9];

const NONE: Dimension = [0; 9];
const LENGTH: Dimension = [1, 0, 0, 0, 0, 0, 0, 0, 0];
const MASS: Dimension = [0, 1, 0, 0, 0, 0, 0, 0, 0];
const TIME: Dimension = [0, 0, 1, 0, 0, 0, 0, 0, 0];
const TEMPERATURE: Dimension = [0, 0, 0, 1, 0, 0, 0, 0, 0];
const CHARGE: Dimension = [0, 0, 0, 0, 1, 0, 0, 0, 0];
const CURRENT: Dimension = [0, 0, -1, 0, 1, 0, 0, 0, 0];
const LUMINOUS: Dimension = [0, 0, 0, 0, 0, 1, 0, 0, 0];
const ILLUMINANCE: Dimension = [-2, 0, 0, 0, 0, 1, 0, 0, 0];
const ANGLE: Dimension = [0, 0, 0, 0, 0, 0, 1, 0, 0];
const BEL: Dimension = [0, 0, 0, 0, 0, 0, 0, 1, 0];
const PH: Dimension = [0, 0, 0, 0, 0, 0, 0, 0, 1];
const VOLUME: Dimension = [3, 0, 0, 0, 0, 0, 0, 0, 0];
const FREQUENCY: Dimension = [0, 0, -1, 0, 0, 0, 0, 0, 0];
const FORCE: Dimension = [1, 1, -2, 0, 0, 0, 0, 0, 0];
const PRESSURE: Dimension = [-1, 1, -2, 0, 0, 0, 0, 0, 0];
const ENERGY: Dimension = [2, 1, -2, 0, 0, 0, 0, 0, 0];
const POWER: Dimension = [2, 1, -3, 0, 0, 0, 0, 0, 0];
const VOLTAGE: Dimension = [2, 1, -2, 0, -1, 0, 0, 0, 0];
const RESISTANCE: Dimension = [2, 1, -1, 0, -2, 0, 0, 0, 0];
const CONDUCTANCE: Dimension = [-2, -1, 1, 0, 2, 0, 0, 0, 0];
const SPEED: Dimension = [1, 0, -1, 0, 0, 0, 0, 0, 0];

/// A unit without prefix: its code, whether it takes prefixes, what it measures, and how many base units it is. Base units
/// are those of [`Dimension`], so a newton is 1000 gram metres per second squared.
struct Atom {
    code: &'static str,
    metric: bool,
    dimension: Dimension,
    factor: f64,
}

const fn metric(code: &'static str, dimension: Dimension, factor: f64) -> Atom {
    Atom { code, metric: true, dimension, factor }
}

const fn plain(code: &'static str, dimension: Dimension, factor: f64) -> Atom {
    Atom { code, metric: false, dimension, factor }
}

/// UCUM's tables 1 to 5 and 9 to 13, as far as sensors measure in them.
const ATOMS: [Atom; 58] = [
    metric("m", LENGTH, 1.0),
    metric("g", MASS, 1.0),
    metric("s", TIME, 1.0),
    metric("K", TEMPERATURE, 1.0),
    metric("C", CHARGE, 1.0),
    metric("cd", LUMINOUS, 1.0),
    metric("rad", ANGLE, 1.0),
    plain("10*", NONE, 10.0),
    plain("10^", NONE, 10.0),
    plain("%", NONE, 0.01),
    plain("[ppth]", NONE, 1e-3),
    plain("[ppm]", NONE, 1e-6),
    plain("[ppb]", NONE, 1e-9),
    metric("Hz", FREQUENCY, 1.0),
    metric("N", FORCE, 1e3),
    metric("Pa", PRESSURE, 1e3),
    metric("J", ENERGY, 1e3),
    metric("W", POWER, 1e3),
    metric("A", CURRENT, 1.0),
    metric("V", VOLTAGE, 1e3),
    metric("Ohm", RESISTANCE, 1e3),
    metric("S", CONDUCTANCE, 1e-3),
    metric("lm", LUMINOUS, 1.0),
    metric("lx", ILLUMINANCE, 1.0),
    metric("Bq", FREQUENCY, 1.0),
    metric("L", VOLUME, 1e-3),
    metric("l", VOLUME, 1e-3),
    metric("ar", [2, 0, 0, 0, 0, 0, 0, 0, 0], 100.0),
    metric("bar", PRESSURE, 1e8),
    metric("t", MASS, 1e6),
    metric("B", BEL, 1.0),
    metric("eV", ENERGY, 1.602_176_634e-16),
    metric("cal", ENERGY, 4184.0),
    metric("m[H2O]", PRESSURE, 9.806_65e6),
    metric("m[Hg]", PRESSURE, 1.333_22e8),
    plain("min", TIME, 60.0),
    plain("h", TIME, 3600.0),
    plain("d", TIME, 86_400.0),
    plain("wk", TIME, 604_800.0),
    plain("mo", TIME, 2_629_800.0),
    plain("a", TIME, 31_557_600.0),
    plain("deg", ANGLE, std::f64::consts::PI / 180.0),
    plain("'", ANGLE, std::f64::consts::PI / 10_800.0),
    plain("''", ANGLE, std::f64::consts::PI / 648_000.0),
    plain("atm", PRESSURE, 1.013_25e8),
    plain("[psi]", PRESSURE, 6.894_757_293_168e6),
    plain("[pH]", PH, 1.0),
    plain("[in_i]", LENGTH, 0.0254),
    plain("[ft_i]", LENGTH, 0.3048),
    plain("[mi_i]", LENGTH, 1609.344),
    plain("[nmi_i]", LENGTH, 1852.0),
    plain("[kn_i]", SPEED, 1852.0 / 3600.0),
    plain("[lb_av]", MASS, 453.592_37),
    plain("[gal_us]", VOLUME, 3.785_411_784e-3),
    plain("[degR]", TEMPERATURE, 5.0 / 9.0),
    plain("[HP]", POWER, 745_699.871_582_270_2),
    plain("circ", ANGLE, std::f64::consts::TAU),
    plain("[g]", [1, 0, -2, 0, 0, 0, 0, 0, 0], 9.806_65),
];

/// UCUM's metric prefixes. `da` stands before `d`: the longer is tried first.
const PREFIXES: [(&str, f64); 16] = [
    ("da", 1e1),
    ("P", 1e15),
    ("T", 1e12),
    ("G", 1e9),
    ("M", 1e6),
    ("k", 1e3),
    ("h", 1e2),
    ("d", 1e-1),
    ("c", 1e-2),
    ("m", 1e-3),
    ("u", 1e-6),
    ("n", 1e-9),
    ("p", 1e-12),
    ("f", 1e-15),
    ("a", 1e-18),
    ("E", 1e18),
];

/// Units that stand alone because their zero lies elsewhere: factor to kelvin, and the kelvins of their zero.
const SCALES: [(&str, f64, f64); 2] = [("Cel", 1.0, 273.15), ("[degF]", 5.0 / 9.0, 459.67 * 5.0 / 9.0)];

/// What people read instead of a code.
const SYMBOLS: [(&str, &str); 6] =
    [("°C", "Cel"), ("°F", "[degF]"), ("µg/m³", "ug/m3"), ("mg/m³", "mg/m3"), ("m³/s", "m3/s"), ("kWh", "kW.h")];

/// What people write for a unit, and what UCUM does.
const MISWRITTEN: [(&str, &str); 26] = [
    ("KW", "kW"),
    ("Kw", "kW"),
    ("metre", "m"),
    ("meter", "m"),
    ("centimetre", "cm"),
    ("centimeter", "cm"),
    ("millimetre", "mm"),
    ("℃", "Cel"),
    ("°C", "Cel"),
    ("℉", "[degF]"),
    ("°F", "[degF]"),
    ("F", "[degF]"),
    ("°", "deg"),
    ("ppm", "[ppm]"),
    ("ppb", "[ppb]"),
    ("µg/m3", "ug/m3"),
    ("mg/m³", "mg/m3"),
    ("m³/s", "m3/s"),
    ("m³", "m3"),
    ("kWh", "kW.h"),
    ("pH", "[pH]"),
    ("psi", "[psi]"),
    ("km/hr", "km/h"),
    ("kmh", "km/h"),
    ("dBA", "dB{A}"),
    ("sec", "s"),
];

/// A unit of measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    code: Arc<str>,
    dimension: Dimension,
    factor: f64,
    /// What its zero is in base units.
    offset: f64,
}

/// What cannot be read as a unit, or be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// There is nothing, or too much.
    #[error("{0:?} is no unit: write a UCUM code of at most {LONGEST} characters, such as \"m\" or \"mg/m3\"")]
    Length(String),
    /// No unit has this code.
    #[error("{term:?} is no UCUM unit{}", hint(.instead))]
    Unknown {
        /// What was written.
        term: String,
        /// What may have been meant.
        instead: Option<&'static str>,
    },
    /// Units whose zero lies elsewhere can be neither multiplied nor divided.
    #[error("{0:?}: Cel and [degF] stand alone; for differences of temperature write K")]
    NotAlone(String),
    /// An exponent that no quantity has.
    #[error("{0:?} has an exponent beyond {MOST_EXPONENT}")]
    Exponent(String),
    /// They measure different things.
    #[error("{from} cannot be converted to {to}: they measure different things")]
    Different {
        /// The unit of the value.
        from: String,
        /// The unit wanted.
        to: String,
    },
}

fn hint(instead: &Option<&str>) -> String {
    instead.map(|instead| format!("; did you mean {instead:?}?")).unwrap_or_default()
}

impl Unit {
    /// The unit of what is counted, or has none: UCUM's `1`.
    pub fn one() -> Self {
        Self { code: "1".into(), dimension: NONE, factor: 1.0, offset: 0.0 }
    }

    /// Its code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// How people write it: `°C` for `Cel`, `ppm` for `[ppm]`; nothing for what is only counted.
    pub fn symbol(&self) -> String {
        if let Some((people, _)) = SYMBOLS.iter().find(|(_, code)| *code == &*self.code) {
            return (*people).to_owned();
        }
        let mut depth = 0u32;
        let symbol: String = self
            .code
            .chars()
            .filter(|c| {
                depth = if *c == '{' { depth + 1 } else { depth };
                let shown = depth == 0 && !matches!(c, '[' | ']');
                depth = if *c == '}' { depth.saturating_sub(1) } else { depth };
                shown
            })
            .collect();
        if symbol == "1" { String::new() } else { symbol }
    }

    /// How values of this unit become values of another.
    ///
    /// # Errors
    /// They measure different things.
    pub fn to(&self, other: &Self) -> Result<Conversion, UnitError> {
        if self.dimension != other.dimension {
            return Err(UnitError::Different { from: self.to_string(), to: other.to_string() });
        }
        Ok(Conversion { factor: self.factor / other.factor, offset: (self.offset - other.offset) / other.factor })
    }
}

/// From one unit to another of the same dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    factor: f64,
    offset: f64,
}

impl Conversion {
    /// The value in the other unit.
    pub fn apply(&self, value: f64) -> f64 {
        value * self.factor + self.offset
    }

    /// A difference or a rate in the other unit: where zero lies is no matter.
    pub fn apply_to_difference(&self, difference: f64) -> f64 {
        difference * self.factor
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)
    }
}

impl FromStr for Unit {
    type Err = UnitError;

    fn from_str(code: &str) -> Result<Self, UnitError> {
        if code.is_empty() || code.len() > LONGEST {
            return Err(UnitError::Length(code.chars().take(LONGEST).collect()));
        }
        if let Some((_, factor, offset)) = SCALES.iter().find(|(scale, ..)| *scale == code) {
            return Ok(Self { code: code.into(), dimension: TEMPERATURE, factor: *factor, offset: *offset });
        }
        let mut unit = Self { code: code.into(), ..Self::one() };
        let (mut rest, mut divide) = (code, false);
        if let Some(divided) = rest.strip_prefix('/') {
            (rest, divide) = (divided, true);
        }
        loop {
            let end = end_of_term(rest);
            let (term, after) = rest.split_at(end);
            unit.take_in(term, divide, code)?;
            match after.chars().next() {
                None if unit.factor.is_normal() => return Ok(unit),
                None => return Err(UnitError::Exponent(code.to_owned())),
                Some(operator) => (rest, divide) = (&after[operator.len_utf8()..], operator == '/'),
            }
        }
    }
}

impl Unit {
    fn take_in(&mut self, term: &str, divide: bool, code: &str) -> Result<(), UnitError> {
        let (dimension, factor, exponent) = read_term(term, code)?;
        let exponent = if divide { -exponent } else { exponent };
        for (sum, each) in self.dimension.iter_mut().zip(dimension) {
            *sum = each
                .checked_mul(exponent)
                .and_then(|each| sum.checked_add(each))
                .ok_or_else(|| UnitError::Exponent(code.to_owned()))?;
        }
        self.factor *= factor.powi(exponent.into());
        Ok(())
    }
}

/// Where the first term ends: at an operator outside of braces and brackets.
fn end_of_term(text: &str) -> usize {
    let mut depth = 0u32;
    for (index, c) in text.char_indices() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            '.' | '/' if depth == 0 => return index,
            _ => {}
        }
    }
    text.len()
}

/// Dimension and factor of a term without its exponent, and the exponent.
fn read_term(term: &str, code: &str) -> Result<(Dimension, f64, i8), UnitError> {
    let unknown = || {
        let instead = MISWRITTEN.iter().find(|(wrong, _)| *wrong == term || *wrong == code).map(|(_, right)| *right);
        UnitError::Unknown { term: term.to_owned(), instead }
    };
    let symbol = match term.split_once('{') {
        Some((symbol, annotation)) if annotation.ends_with('}') => symbol,
        Some(_) => return Err(unknown()),
        None => term,
    };
    // What is only counted: "{count}", "1", and other whole numbers.
    if symbol.is_empty() && !term.is_empty() {
        return Ok((NONE, 1.0, 1));
    }
    if let Ok(number) = symbol.parse::<u32>() {
        return if number > 0 { Ok((NONE, number.into(), 1)) } else { Err(unknown()) };
    }
    if let Some(found) = atom(symbol) {
        return Ok((found.0, found.1, 1));
    }
    // The exponent: digits at the end, with a sign perhaps.
    let digits = symbol.trim_end_matches(|c: char| c.is_ascii_digit());
    let base = digits.strip_suffix(['-', '+']).unwrap_or(digits);
    let exponent = symbol[base.len()..].strip_prefix('+').unwrap_or(&symbol[base.len()..]);
    if exponent.is_empty() {
        let alone = SCALES.iter().any(|(scale, ..)| *scale == base);
        return Err(if alone { UnitError::NotAlone(code.to_owned()) } else { unknown() });
    }
    let (dimension, factor) = atom(base).ok_or_else(unknown)?;
    let exponent: i8 = exponent.parse().map_err(|_| UnitError::Exponent(code.to_owned()))?;
    if exponent == 0 || exponent.abs() > MOST_EXPONENT {
        return Err(UnitError::Exponent(code.to_owned()));
    }
    Ok((dimension, factor, exponent))
}

/// An atom, with a prefix perhaps. An atom as it stands goes before a prefixed one: `cd` is a candela, `min` a minute.
fn atom(symbol: &str) -> Option<(Dimension, f64)> {
    if let Some(atom) = ATOMS.iter().find(|atom| atom.code == symbol) {
        return Some((atom.dimension, atom.factor));
    }
    PREFIXES.iter().find_map(|(prefix, size)| {
        let rest = symbol.strip_prefix(prefix)?;
        let atom = ATOMS.iter().find(|atom| atom.metric && atom.code == rest)?;
        Some((atom.dimension, atom.factor * size))
    })
}

written_as_text!(Unit, "a UCUM unit like \"mg/m3\"");

impl JsonSchema for Unit {
    fn schema_name() -> Cow<'static, str> {
        "Unit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": LONGEST, "examples": ["m", "Cel", "mg/m3", "%"] })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn converted(value: f64, from: &str, to: &str) -> f64 {
        let (from, to): (Unit, Unit) = (from.parse().unwrap(), to.parse().unwrap());
        from.to(&to).unwrap().apply(value)
    }

    #[test]
    fn people_read_symbols() {
        for (code, symbol) in [
            ("m", "m"),
            ("Cel", "°C"),
            ("[ppm]", "ppm"),
            ("1", ""),
            ("{presses}", ""),
            ("mg/L", "mg/L"),
            ("%{LEL}", "%"),
        ] {
            assert_eq!(code.parse::<Unit>().unwrap().symbol(), symbol);
        }
    }

    #[test]
    fn what_sensors_send_becomes_what_people_read() {
        for (value, from, to, expected) in [
            (2.5, "m", "cm", 250.0),
            (12.0, "mm/h", "m/s", 12e-3 / 3600.0),
            (21.5, "Cel", "K", 294.65),
            (68.0, "[degF]", "Cel", 20.0),
            (1013.25, "hPa", "kPa", 101.325),
            (1.0, "bar", "mbar", 1000.0),
            (760.0, "mm[Hg]", "kPa", 101.325),
            (3.6, "km/h", "m/s", 1.0),
            (1.0, "kW.h", "MJ", 3.6),
            (35.0, "ug/m3", "mg/m3", 0.035),
            (2.0, "mg/L", "g/m3", 2.0),
            (400.0, "[ppm]", "%", 0.04),
            (20.0, "%{LEL}", "%", 20.0),
            (1.0, "m3/s", "L/min", 60_000.0),
            (230.0, "V", "mV", 230_000.0),
            (1.0, "V.A", "W", 1.0),
            (180.0, "deg", "rad", std::f64::consts::PI),
            (5.0, "{count}", "1", 5.0),
            (5.0, "/min", "Hz", 5.0 / 60.0),
            (3.0, "10*3/uL", "10*9/L", 3.0),
            (9.0, "m/s2", "m.s-2", 9.0),
            (70.0, "dB{A}", "B", 7.0),
        ] {
            let found = converted(value, from, to);
            assert!(
                (found - expected).abs() <= 1e-5 * expected.abs(),
                "{value} {from} is {found} {to}, not {expected}"
            );
        }
    }

    #[test]
    fn differences_know_no_zero() {
        let (celsius, fahrenheit): (Unit, Unit) = ("Cel".parse().unwrap(), "[degF]".parse().unwrap());
        assert!((celsius.to(&fahrenheit).unwrap().apply_to_difference(10.0) - 18.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_unit_says_why_and_what_was_meant() {
        let why = |code: &str| code.parse::<Unit>().unwrap_err().to_string();
        assert!(why("℃").contains("did you mean \"Cel\""), "{}", why("℃"));
        assert!(why("kWh").contains("did you mean \"kW.h\""));
        assert!(why("Cel/s").contains("write K"));
        assert!(why("m99").contains("exponent") && why("m128").contains("exponent"));
        for wrong in ["", "furlong", "kmin", "m//s", "m.", "/", "{", "m{a", "0", "kkm", "%2x"] {
            assert!(wrong.parse::<Unit>().is_err(), "{wrong}");
        }
        let (metre, second): (Unit, Unit) = ("m".parse().unwrap(), "s".parse().unwrap());
        assert_eq!(
            metre.to(&second).unwrap_err().to_string(),
            "m cannot be converted to s: they measure different things"
        );
    }

    #[test]
    fn codes_are_unique() {
        for (index, atom) in ATOMS.iter().enumerate() {
            assert!(ATOMS[..index].iter().all(|other| other.code != atom.code), "{}", atom.code);
        }
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same(value in -1e6f64..1e6, pair in prop::sample::select(&[
            ("Cel", "[degF]"), ("mm", "m"), ("kPa", "mm[Hg]"), ("mg/m3", "ug/L"), ("km/h", "[kn_i]"),
        ][..])) {
            let back = converted(converted(value, pair.0, pair.1), pair.1, pair.0);
            prop_assert!((back - value).abs() <= 1e-9 * value.abs().max(1e3), "{back} {value}");
        }

        #[test]
        fn any_text_is_a_unit_or_an_error(text in "\\PC{0,70}|[a-zA-Z0-9./{}\\[\\]*^%'-]{0,20}") {
            if let Ok(unit) = text.parse::<Unit>() {
                prop_assert!(unit.factor > 0.0, "{unit:?}");
                prop_assert_eq!(unit.to_string().parse::<Unit>().unwrap(), unit);
            }
        }
    }
}
