//! How settings are read: every module owns its *spec* (what it can be told), declared once with [`spec!`].
//!
//! One declaration gives the struct, its TOML reader and its JSON Schema, so the three cannot drift apart. Reading
//! never stops at the first mistake: a table collects all of its errors, each with the place in the file
//! ([`Span`]), and unknown keys are errors. Rendering them is the caller's job (`snowgate check`).

mod values;

use std::borrow::Cow;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value as Json};
pub use toml_span::{
    DeserError, Deserialize, Error, ErrorKind, Span, Value,
    de_helpers::{TableHelper, expected},
    value::ValueInner,
};
pub(crate) use values::written_as_text;
pub use values::{Bounded, ByteSize, Fraction, Located, Maybe, Number, TimeSpan, number_between};

/// A group of keys in a TOML table; a spec may embed another section's keys among its own (`flatten`).
pub trait Section: Sized {
    /// Takes this section's keys out of `table`; mistakes are left in `table.errors` and answered with `None`.
    fn read(table: &mut TableHelper<'_>) -> Option<Self>;
    /// Adds this section's keys to the JSON Schema of the table it stands in.
    fn describe(schema: &mut ObjectSchema, generator: &mut SchemaGenerator);
}

/// Reads a whole table as one section: nothing but its keys may stand there.
///
/// # Errors
/// All mistakes found in the table.
pub fn read_table<T: Section>(value: &mut Value<'_>) -> Result<T, DeserError> {
    let mut table = TableHelper::new(value)?;
    let section = T::read(&mut table);
    table.finalize(None)?;
    // A section that answers `None` has left an error, so `finalize` has returned it already.
    section.ok_or_else(|| custom("incomplete table", value.span))
}

/// A section that was left out: every key at its default.
///
/// # Panics
/// If a key of the section has no default, which any use of it shows at once.
#[allow(clippy::expect_used, reason = "a table whose every key has a default cannot fail to be read from nothing")]
pub fn all_defaults<T: for<'de> Deserialize<'de>>() -> T {
    let section: Result<T, DeserError> = T::deserialize(&mut Value::new(ValueInner::Table(Default::default())));
    section.expect("every key of an optional section has a default")
}

/// The TOML key of a Rust field: `r#for` is written `for`.
pub const fn key_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// The keys of a section.
pub fn key_names<T: Section>() -> Vec<String> {
    let mut schema = ObjectSchema::default();
    T::describe(&mut schema, &mut SchemaGenerator::default());
    schema.properties.into_iter().map(|(name, _)| name).collect()
}

/// Drops the keys of all variants where the tag that would choose one is missing or wrong: whether they belong there
/// is unknown, and naming them unexpected would only add noise.
pub fn take_keys_of(table: &mut TableHelper<'_>, variants: &[Vec<String>]) {
    for name in variants.iter().flatten() {
        table.table.remove(name.as_str());
    }
}

/// An error with a message of our own at `span`.
pub fn custom(message: impl Into<Cow<'static, str>>, span: Span) -> DeserError {
    Error { kind: ErrorKind::Custom(message.into()), span, line_info: None }.into()
}

/// The JSON Schema of a table under construction.
#[derive(Default)]
pub struct ObjectSchema {
    properties: Map<String, Json>,
    required: Vec<Json>,
    variants: Vec<Json>,
}

impl ObjectSchema {
    /// Adds a key. `default` is `None` where the key must be given.
    pub fn key(&mut self, name: &str, doc: &str, schema: Schema, default: Option<Json>) {
        let mut property = schema.to_value();
        if let Json::Object(object) = &mut property {
            object.insert("description".into(), description(doc).into());
            if let Some(default) = &default
                && !default.is_null()
            {
                object.insert("default".into(), default.clone());
            }
        }
        if default.is_none() {
            self.required.push(name.into());
        }
        self.properties.insert(name.into(), property);
    }

    /// Adds the keys that go with one value of a tag key; `default` if it is the one that is meant where there is none.
    pub fn variant(&mut self, tag: &str, value: &str, doc: &str, default: bool, keys: ObjectSchema) {
        let mut properties = keys.properties;
        let mut tag_schema = serde_json::json!({ "const": value, "description": description(doc) });
        let mut required = keys.required;
        if default {
            tag_schema["default"] = value.into();
        } else {
            required.push(tag.into());
        }
        properties.insert(tag.into(), tag_schema);
        self.variants.push(serde_json::json!({ "properties": properties, "required": required }));
    }

    /// The finished schema; keys not named are errors.
    pub fn finish(self) -> Schema {
        let mut schema = json_schema!({ "type": "object", "properties": self.properties });
        if !self.required.is_empty() {
            schema.insert("required".into(), self.required.into());
        }
        if self.variants.is_empty() {
            schema.insert("additionalProperties".into(), false.into());
        } else {
            schema.insert("oneOf".into(), self.variants.into());
            schema.insert("unevaluatedProperties".into(), false.into());
        }
        schema
    }
}

/// A doc comment as a schema's description.
fn description(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Declares a spec: struct, TOML reader and JSON Schema in one.
///
/// `key: Type` must be given, `key: Type = default` may be left out, `flatten key: Type` embeds another
/// [`Section`]'s keys. Doc comments become the schema's descriptions.
#[macro_export]
macro_rules! spec {
    ($(#[$meta:meta])* pub struct $Name:ident { $($body:tt)* }) => {
        $crate::spec!(@fields [$(#[$meta])*] $Name [] $($body)*);
    };
    (@fields [$($meta:tt)*] $Name:ident [$($done:tt)*] $(#[doc = $doc:literal])* flatten $key:ident : $ty:ty, $($rest:tt)*) => {
        $crate::spec!(@fields [$($meta)*] $Name [$($done)* { [$($doc)*] $key flatten [$ty] [] }] $($rest)*);
    };
    (@fields [$($meta:tt)*] $Name:ident [$($done:tt)*] $(#[doc = $doc:literal])* $key:ident : $ty:ty = $default:expr, $($rest:tt)*) => {
        $crate::spec!(@fields [$($meta)*] $Name [$($done)* { [$($doc)*] $key default [$ty] [$default] }] $($rest)*);
    };
    (@fields [$($meta:tt)*] $Name:ident [$($done:tt)*] $(#[doc = $doc:literal])* $key:ident : $ty:ty, $($rest:tt)*) => {
        $crate::spec!(@fields [$($meta)*] $Name [$($done)* { [$($doc)*] $key required [$ty] [] }] $($rest)*);
    };
    (@fields [$($meta:tt)*] $Name:ident [$({ [$($doc:literal)*] $key:ident $mode:ident [$ty:ty] [$($default:expr)?] })*]) => {
        $($meta)*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        pub struct $Name {
            $($(#[doc = $doc])* pub $key: $ty,)*
        }

        impl $crate::spec::Section for $Name {
            #[allow(unused_variables, reason = "a section may have no keys")]
            fn read(table: &mut $crate::spec::TableHelper<'_>) -> Option<Self> {
                // Every key is read before any is given up on: that is how all mistakes show at once.
                $(let $key: Option<$ty> = $crate::spec!(@read $mode table, $key, $ty $(, $default)?);)*
                Some(Self { $($key: $key?,)* })
            }

            #[allow(unused_variables, reason = "a section may have no keys")]
            fn describe(schema: &mut $crate::spec::ObjectSchema, generator: &mut ::schemars::SchemaGenerator) {
                $($crate::spec!(@describe $mode schema, generator, $key, concat!($($doc, "\n",)* ""), $ty $(, $default)?);)*
            }
        }

        $crate::section_as_value!($Name);
    };
    (@read required $table:ident, $key:ident, $ty:ty) => { $table.required::<$ty>($crate::spec::key_name(stringify!($key))).ok() };
    (@read default $table:ident, $key:ident, $ty:ty, $default:expr) => {{
        let given = $table.contains($crate::spec::key_name(stringify!($key)));
        let value = $table.optional::<$ty>($crate::spec::key_name(stringify!($key)));
        if given { value } else { Some($default) }
    }};
    (@read flatten $table:ident, $key:ident, $ty:ty) => { <$ty as $crate::spec::Section>::read($table) };
    (@describe required $schema:ident, $generator:ident, $key:ident, $doc:expr, $ty:ty) => {
        $schema.key($crate::spec::key_name(stringify!($key)), $doc, $generator.subschema_for::<$ty>(), None);
    };
    (@describe default $schema:ident, $generator:ident, $key:ident, $doc:expr, $ty:ty, $default:expr) => {
        let default: $ty = $default;
        let default = ::serde_json::to_value(&default).unwrap_or_default();
        $schema.key($crate::spec::key_name(stringify!($key)), $doc, $generator.subschema_for::<$ty>(), Some(default));
    };
    (@describe flatten $schema:ident, $generator:ident, $key:ident, $doc:expr, $ty:ty) => {
        <$ty as $crate::spec::Section>::describe($schema, $generator);
    };
}

/// Lets a [`Section`] stand as a value of its own: a table with its keys and no others.
#[macro_export]
macro_rules! section_as_value {
    ($Name:ident) => {
        impl<'de> $crate::spec::Deserialize<'de> for $Name {
            fn deserialize(value: &mut $crate::spec::Value<'de>) -> Result<Self, $crate::spec::DeserError> {
                $crate::spec::read_table(value)
            }
        }

        impl ::schemars::JsonSchema for $Name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($Name).into()
            }
            fn json_schema(generator: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                let mut schema = $crate::spec::ObjectSchema::default();
                <Self as $crate::spec::Section>::describe(&mut schema, generator);
                schema.finish()
            }
        }
    };
}

/// The value of a tag key and its place; the default's where it is left out. `None` where it must be given and is not.
pub fn read_tag(
    table: &mut TableHelper<'_>,
    tag: &'static str,
    default: Option<&'static str>,
) -> Option<(String, Span)> {
    match default {
        Some(default) if !table.contains(tag) => Some((default.to_owned(), Span::default())),
        _ => table.required_s::<String>(tag).ok().map(|tag| (tag.value, tag.span)),
    }
}

/// Declares a section whose keys depend on the value of one tag key: `tagged! { pub enum Kind by "kind" { "line" => Line(LineSpec), } }`.
/// With `by "kind" or "line"` the tag may be left out.
#[macro_export]
macro_rules! tagged {
    ($(#[$meta:meta])* pub enum $Name:ident by $tag:literal $(or $default:literal)? { $($(#[doc = $doc:literal])* $value:literal => $Variant:ident($Spec:ty),)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        #[serde(tag = $tag)]
        pub enum $Name {
            $($(#[doc = $doc])* #[serde(rename = $value)] $Variant($Spec),)*
        }

        impl $Name {
            /// The value of the tag key.
            #[allow(dead_code, reason = "not every tagged section is asked")]
            pub fn tag(&self) -> &'static str {
                match self { $(Self::$Variant(_) => $value,)* }
            }
        }

        impl $crate::spec::Section for $Name {
            fn read(table: &mut $crate::spec::TableHelper<'_>) -> Option<Self> {
                let default: Option<&'static str> = None$(.or(Some($default)))?;
                let Some((tag, span)) = $crate::spec::read_tag(table, $tag, default) else {
                    $crate::spec::take_keys_of(table, &[$($crate::spec::key_names::<$Spec>()),*]);
                    return None;
                };
                match tag.as_str() {
                    $($value => <$Spec as $crate::spec::Section>::read(table).map(Self::$Variant),)*
                    other => {
                        table.errors.push($crate::spec::Error {
                            kind: $crate::spec::ErrorKind::UnexpectedValue {
                                expected: &[$($value),*],
                                value: Some(other.to_owned()),
                            },
                            span,
                            line_info: None,
                        });
                        $crate::spec::take_keys_of(table, &[$($crate::spec::key_names::<$Spec>()),*]);
                        None
                    }
                }
            }

            fn describe(schema: &mut $crate::spec::ObjectSchema, generator: &mut ::schemars::SchemaGenerator) {
                let default: Option<&'static str> = None$(.or(Some($default)))?;
                $({
                    let mut keys = $crate::spec::ObjectSchema::default();
                    <$Spec as $crate::spec::Section>::describe(&mut keys, generator);
                    schema.variant($tag, $value, concat!($($doc, "\n",)* ""), default == Some($value), keys);
                })*
            }
        }
    };
}

/// Declares a setting that is one of a few words: enum, reader, `Display` and JSON Schema in one.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $Name:ident { $($(#[$vmeta:meta])* $Variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $Name {
            $($(#[$vmeta])* #[serde(rename = $word)] $Variant,)*
        }

        impl $Name {
            /// Every word, in the order of declaration.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word that stands for this value in files and messages.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$Variant => $word,)* }
            }
        }

        impl ::std::fmt::Display for $Name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<'de> $crate::spec::Deserialize<'de> for $Name {
            fn deserialize(value: &mut $crate::spec::Value<'de>) -> Result<Self, $crate::spec::DeserError> {
                let word = value.take_string(None)?;
                match word.as_ref() {
                    $($word => Ok(Self::$Variant),)*
                    other => Err($crate::spec::Error {
                        kind: $crate::spec::ErrorKind::UnexpectedValue {
                            expected: Self::WORDS,
                            value: Some(other.to_owned()),
                        },
                        span: value.span,
                        line_info: None,
                    }.into()),
                }
            }
        }

        impl ::schemars::JsonSchema for $Name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($Name).into()
            }
            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({ "type": "string", "enum": Self::WORDS })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    choice! {
        /// A test's choice.
        pub enum Mode { Fast = "fast", Slow = "slow", }
    }
    spec! {
        /// Embedded.
        pub struct Inner { /// A size.
            size: ByteSize = ByteSize::mib(1), }
    }
    spec! {
        /// Line keys.
        pub struct LineKeys { /// Which line.
            line: String, }
    }
    spec! {
        /// No keys.
        pub struct NoKeys {}
    }
    tagged! {
        /// Tagged.
        pub enum Kind by "kind" { /// A line.
            "line" => Line(LineKeys), /// None.
            "none" => Nothing(NoKeys), }
    }
    tagged! {
        /// Tagged, with a default.
        pub enum Way by "way" or "short" { /// A line.
            "long" => Long(LineKeys), /// None.
            "short" => Short(NoKeys), }
    }
    spec! {
        /// Keys of a way.
        pub struct WayKeys { /// The way.
            flatten way: Way, }
    }
    spec! {
        /// Outer.
        pub struct Outer {
            /// A name.
            name: Located<String>,
            /// A mode.
            mode: Mode = Mode::Fast,
            /// How long.
            every: TimeSpan = TimeSpan::secs(2),
            /// How much.
            score: Fraction = Fraction(0.5),
            /// Inner keys.
            flatten inner: Inner,
            /// Its kind.
            flatten kind: Kind,
        }
    }

    fn read(text: &str) -> Result<Outer, Vec<String>> {
        let mut value = toml_span::parse(text).unwrap();
        read_table(&mut value)
            .map_err(|e| e.errors.iter().map(|e| format!("{}..{} {e}", e.span.start, e.span.end)).collect())
    }

    #[test]
    fn reads_given_and_default_keys() {
        let outer = read("name = 'a'\nkind = 'line'\nline = 'l'\nscore = 1\nevery = '1m 30s'").unwrap();
        assert_eq!(*outer.name, "a");
        assert_eq!(outer.mode, Mode::Fast);
        assert_eq!(outer.every, TimeSpan::secs(90));
        assert_eq!(outer.score, Fraction(1.0));
        assert_eq!(outer.inner.size, ByteSize(1 << 20));
        assert_eq!(outer.kind, Kind::Line(LineKeys { line: "l".into() }));
    }

    #[test]
    fn a_tag_with_a_default_may_be_left_out() {
        let read = |text: &str| read_table(&mut toml_span::parse(text).unwrap()).map(|WayKeys { way }| way);
        assert_eq!(read("").unwrap(), Way::Short(NoKeys {}));
        assert_eq!(read("way = 'long'\nline = 'l'").unwrap(), Way::Long(LineKeys { line: "l".into() }));
        assert!(read("line = 'l'").is_err(), "a key of another way");
        let json = serde_json::to_value(schemars::schema_for!(WayKeys)).unwrap();
        assert_eq!(json["oneOf"][1]["required"], serde_json::json!([]));
    }

    #[test]
    fn reports_every_mistake_at_once() {
        let errors =
            read("mode = 'fsat'\nevery = 3\nscore = 1.5\nsize = '1 MB'\nkind = 'none'\nnmae = 'x'").unwrap_err();
        let all = errors.join("\n");
        for part in ["name", "fast", "a length of time", "1.5 is outside 0 to 1", "is not a size", "nmae"] {
            assert!(all.contains(part), "{part} is missing from\n{all}");
        }
    }

    #[test]
    fn schema_names_keys_defaults_and_variants() {
        let schema = schemars::schema_for!(Outer);
        let json = serde_json::to_value(&schema).unwrap();
        assert_eq!(json["properties"]["every"]["default"], "2s");
        assert_eq!(serde_json::to_string(&Fraction(0.06)).unwrap(), "0.06");
        assert_eq!(json["properties"]["name"]["description"], "A name.");
        assert_eq!(json["required"], serde_json::json!(["name"]));
        assert_eq!(json["oneOf"][0]["properties"]["kind"]["const"], "line");
    }

    #[test]
    fn time_spans_and_sizes_survive_printing() {
        for span in
            [TimeSpan::millis(0), TimeSpan::millis(1), TimeSpan::secs(90), TimeSpan(Duration::from_millis(90_061_001))]
        {
            assert_eq!(span.to_string().parse::<TimeSpan>().unwrap(), span);
        }
        for size in [ByteSize(0), ByteSize(1), ByteSize(3 << 20), ByteSize((1 << 30) + 1)] {
            assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }
        for wrong in ["", "2", "s", "2 fortnights", "99999999999999999999s", "4000000d"] {
            assert!(wrong.parse::<TimeSpan>().is_err(), "{wrong}");
        }
    }
}
