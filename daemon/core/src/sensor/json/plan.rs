//! What is looked for in messages, and one pass over a message that finds it.
//!
//! A message is never held as a tree: whatever nobody looks for is skipped where it stands. So a message costs its own size
//! and no multiple of it, however it is built, and one that many sensors share is read once for all of them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{JsonError, LONGEST, pointer::JsonPointer};

/// The longest text that is kept of a message, in bytes: times, device names, words that stand for numbers.
pub(super) const LONGEST_TEXT: usize = 64;
/// So much of a text that cannot be used is shown.
const SHOWN: usize = 40;

/// The places that somebody looks at, as a tree of names. Sensors that share messages share a plan.
#[derive(Debug, Clone, Default)]
pub struct JsonPlan {
    root: Node,
    fields: usize,
}

/// A place of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field(usize);

#[derive(Debug, Clone, Default)]
struct Node {
    field: Option<Field>,
    children: Vec<Child>,
}

#[derive(Debug, Clone)]
struct Child {
    name: String,
    /// The name as a place in a list, where it can be one.
    place: Option<usize>,
    node: Node,
}

/// What stands at one place of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// The beginning of a text that is too long for anything it could be.
    LongText(String),
    List,
    Object,
}

/// What a plan has found in one message.
#[derive(Debug)]
pub struct JsonFields(Vec<Option<Found>>);

impl JsonPlan {
    /// A plan that looks for nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for what stands at `pointer`, too.
    pub(super) fn look_at(&mut self, pointer: &str) -> Field {
        let mut node = &mut self.root;
        for name in JsonPointer::steps(pointer) {
            let known = node.children.iter().position(|child| child.name == name);
            let at = known.unwrap_or_else(|| {
                node.children.push(Child { place: place(&name), name, node: Node::default() });
                node.children.len() - 1
            });
            node = &mut node.children[at].node;
        }
        *node.field.get_or_insert_with(|| {
            self.fields += 1;
            Field(self.fields - 1)
        })
    }

    /// Reads a message once.
    ///
    /// # Errors
    /// It is too long, or no JSON.
    pub fn parse(&self, message: &[u8]) -> Result<JsonFields, JsonError> {
        if message.len() > LONGEST {
            return Err(JsonError::Length(message.len()));
        }
        let mut fields = vec![None; self.fields];
        let mut json = serde_json::Deserializer::from_slice(message);
        let look = Look { node: &self.root, fields: &mut fields };
        look.deserialize(&mut json).and_then(|()| json.end()).map_err(|error| JsonError::Syntax(error.to_string()))?;
        Ok(JsonFields(fields))
    }
}

impl JsonFields {
    pub(super) fn at(&self, field: Field) -> Option<&Found> {
        self.0.get(field.0)?.as_ref()
    }
}

impl fmt::Display for Found {
    /// Shortened, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{:?}", shortened(text)),
            Self::LongText(beginning) => write!(f, "{beginning:?}…"),
            Self::List => f.write_str("a list"),
            Self::Object => f.write_str("an object"),
        }
    }
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

/// A name as a place in a list: decimal, no sign, no leading zero (RFC 6901, 4).
fn place(name: &str) -> Option<usize> {
    let plain = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    name.parse().ok().filter(|_| plain)
}

/// Looks at one value of a message.
struct Look<'a> {
    node: &'a Node,
    fields: &'a mut [Option<Found>],
}

impl Look<'_> {
    fn found(self, found: Found) {
        if let Some(field) = self.node.field {
            self.fields[field.0] = Some(found);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.found(Found::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.found(Found::Bool(value));
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.found(Found::Number(value));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.node.field.is_some() {
            self.found(match text.len() {
                0..=LONGEST_TEXT => Found::Text(text.to_owned()),
                _ => Found::LongText(shortened(text).to_owned()),
            });
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { node, fields } = self;
        for at in 0.. {
            let child = node.children.iter().find(|child| child.place == Some(at));
            let more = match child {
                Some(child) => list.next_element_seed(Look { node: &child.node, fields: &mut *fields })?,
                None => list.next_element::<IgnoredAny>()?.map(drop),
            };
            if more.is_none() {
                break;
            }
        }
        Look { node, fields }.found(Found::List);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Self { node, fields } = self;
        while let Some(child) = object.next_key_seed(Name(node))? {
            match child {
                Some(node) => object.next_value_seed(Look { node, fields: &mut *fields })?,
                None => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Look { node, fields }.found(Found::Object);
        Ok(())
    }
}

/// Looks for a name among those that somebody looks at.
struct Name<'a>(&'a Node);

impl<'de, 'a> DeserializeSeed<'de> for Name<'a> {
    type Value = Option<&'a Node>;
    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Name<'a> {
    type Value = Option<&'a Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.children.iter().find(|child| child.name == name).map(|child| &child.node))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    /// What a reader that holds the whole message as a tree would say.
    fn expected(json: Option<&Json>) -> Option<Found> {
        Some(match json? {
            Json::Null => Found::Null,
            Json::Bool(value) => Found::Bool(*value),
            Json::Number(number) => Found::Number(number.as_f64().unwrap()),
            Json::String(text) if text.len() <= LONGEST_TEXT => Found::Text(text.clone()),
            Json::String(text) => Found::LongText(shortened(text).to_owned()),
            Json::Array(_) => Found::List,
            Json::Object(_) => Found::Object,
        })
    }

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            (-1e300..1e300f64).prop_map(Json::from),
            "[a-c\"\\\\/é水\u{1}]{0,8}".prop_map(Json::from),
            "[é水]{60,70}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map("[ab0-2/~]{0,2}", inner, 0..4)
                    .prop_map(|object| Json::Object(object.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn one_pass_finds_what_a_tree_would_hold(
            json in json(),
            pointers in prop::collection::vec("(/([ab0-2]|~0|~1){0,2}){0,3}", 1..8),
        ) {
            let mut plan = JsonPlan::new();
            let fields: Vec<Field> = pointers.iter().map(|pointer| plan.look_at(pointer)).collect();
            // Long decimals are not read to the last bit: both read the same text.
            let text = json.to_string();
            let json: Json = serde_json::from_str(&text).unwrap();
            let found = plan.parse(text.as_bytes()).unwrap();
            for (pointer, field) in pointers.iter().zip(fields) {
                let expected = expected(json.pointer(pointer));
                prop_assert_eq!(found.at(field), expected.as_ref(), "{} in {}", pointer, json);
            }
        }
    }

    #[test]
    fn sensors_that_look_at_the_same_place_share_it() {
        let mut plan = JsonPlan::new();
        let (level, rain) = (plan.look_at("/object/level"), plan.look_at("/object/rain"));
        assert_eq!(plan.look_at("/object/level"), level);
        assert_ne!(level, rain);
        assert_eq!(plan.fields, 2);
    }

    #[test]
    fn what_is_no_json_is_refused_even_where_nobody_looks() {
        let plan = JsonPlan::new();
        for text in ["", "{", "[1,]", "{\"a\":}", "{\"a\":1}}", "nul", "{1:2}", "\"a", "[\u{0}]"] {
            assert!(matches!(plan.parse(text.as_bytes()), Err(JsonError::Syntax(_))), "{text}");
        }
    }
}
