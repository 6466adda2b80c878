//! XML from outside as a small tree, within limits: document types are refused, so there are no entities but the five of XML itself
//! and characters by number.
//!
//! Names are compared without their namespaces. Devices bind other prefixes, and some wrong namespaces; within an answer to one question
//! no two elements that are asked for differ by their namespace alone.

use quick_xml::{
    Reader, XmlVersion, escape,
    events::{BytesRef, BytesStart, Event},
};

/// The deepest nesting read.
const DEEPEST: usize = 64;
/// The most elements read: the profiles of a recorder of 64 channels have fewer.
const MOST_ELEMENTS: usize = 50_000;
/// The most attributes of an element that are read.
const MOST_ATTRIBUTES: usize = 32;

/// Why bytes are not read as XML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Nested more deeply than any answer of ONVIF is.
    #[error("it is nested more than {DEEPEST} levels deep")]
    TooDeep,
    /// More elements than any answer of ONVIF has.
    #[error("it has more than {MOST_ELEMENTS} elements")]
    TooMany,
    /// SOAP 1.2 Part 1, section 5: a message has none. Entities would be declared here.
    #[error("it has a document type, which SOAP forbids")]
    DocumentType,
    /// An entity that is not one of XML's five.
    #[error("it names an entity that is not known")]
    Entity,
    /// Not well-formed.
    #[error("it is not well-formed")]
    Malformed,
}

/// An element with what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document; bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// It is no XML, or more of it than is read.
    pub fn parse(bytes: &[u8]) -> Result<Self, XmlError> {
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader::from_str(&text);
        let mut open: Vec<Self> = Vec::new();
        let mut count = 0;
        loop {
            let closed = match reader.read_event().map_err(|_| XmlError::Malformed)? {
                Event::Start(start) => {
                    if open.len() >= DEEPEST {
                        return Err(XmlError::TooDeep);
                    }
                    open.push(Self::opened(&start, &mut count)?);
                    None
                }
                Event::Empty(start) => Some(Self::opened(&start, &mut count)?),
                Event::End(_) => Some(open.pop().ok_or(XmlError::Malformed)?),
                Event::Text(text) => {
                    add(&mut open, &text.xml10_content());
                    None
                }
                Event::CData(text) => {
                    add(&mut open, &text.xml10_content());
                    None
                }
                Event::GeneralRef(reference) => {
                    add(&mut open, &referred(&reference)?);
                    None
                }
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => None,
                Event::Eof => return Err(XmlError::Malformed),
            };
            let Some(closed) = closed else { continue };
            match open.last_mut() {
                Some(parent) => parent.children.push(closed),
                // What follows the root is no matter.
                None => return Ok(closed),
            }
        }
    }

    fn opened(start: &BytesStart<'_>, count: &mut usize) -> Result<Self, XmlError> {
        *count += 1;
        if *count > MOST_ELEMENTS {
            return Err(XmlError::TooMany);
        }
        let mut attributes = Vec::new();
        // To look for one that is there twice takes the square of their number.
        for attribute in start.attributes().with_checks(false).take(MOST_ATTRIBUTES) {
            let attribute = attribute.map_err(|_| XmlError::Malformed)?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| XmlError::Entity)?;
            attributes.push((attribute.key.local_name().into_inner().to_owned(), value.into_owned()));
        }
        let name = start.local_name().into_inner().to_owned();
        Ok(Self { name, attributes, ..Self::default() })
    }

    /// Its name, without namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands in it directly, without blanks around.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The elements directly in it.
    pub fn children(&self) -> &[Self] {
        &self.children
    }

    /// Those of them with this name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first element at this path of names below it.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.children.iter().find(|child| child.name == *name))
    }

    /// The text at a path; `None` where there is none, or an empty one.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).map(Self::text).filter(|text| !text.is_empty())
    }

    /// The number at a path, if there is one.
    pub fn number_at<N: std::str::FromStr>(&self, path: &[&str]) -> Option<N> {
        self.text_at(path)?.parse().ok()
    }
}

fn add(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn referred(reference: &BytesRef<'_>) -> Result<String, XmlError> {
    if let Some(c) = reference.resolve_char_ref().map_err(|_| XmlError::Malformed)? {
        return Ok(c.to_string());
    }
    let name = reference.xml10_content();
    escape::resolve_predefined_entity(&name).map(str::to_owned).ok_or(XmlError::Entity)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tree_is_read_whatever_its_prefixes() {
        let text = "<?xml version=\"1.0\"?><!-- x --><s:A xmlns:s='u'><t:B token=' a&amp;b '>1 &lt; <![CDATA[2 & ]]>&#x33;</t:B><B/></s:A>";
        let root = Element::parse(text.as_bytes()).unwrap();
        assert_eq!((root.name(), root.named("B").count()), ("A", 2));
        assert_eq!(root.text_at(&["B"]), Some("1 < 2 & 3"));
        assert_eq!(root.at(&["B"]).unwrap().attribute("token"), Some(" a&b "));
        assert_eq!(root.at(&["B", "C"]), None);
    }

    #[test]
    fn what_would_cost_too_much_is_refused() {
        let deep = "<a>".repeat(1_000_000);
        assert_eq!(Element::parse(deep.as_bytes()), Err(XmlError::TooDeep));
        let many = format!("<a>{}</a>", "<b/>".repeat(MOST_ELEMENTS));
        assert_eq!(Element::parse(many.as_bytes()), Err(XmlError::TooMany));
        let bomb = "<!DOCTYPE a [<!ENTITY x \"xxxx\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>";
        assert_eq!(Element::parse(bomb.as_bytes()), Err(XmlError::DocumentType));
        let file = "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>";
        assert_eq!(Element::parse(file.as_bytes()), Err(XmlError::DocumentType));
        for text in ["<a>&y;</a>", "<a b='&y;'/>"] {
            assert_eq!(Element::parse(text.as_bytes()), Err(XmlError::Entity), "{text}");
        }
        for text in ["", "plain", "<a>", "<a></b>", "<a", "</a>", "<a>&#0;</a>", "<a b=></a>"] {
            assert!(Element::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Element::parse(&bytes);
        }

        #[test]
        fn anything_like_xml_is_read_or_refused(text in "(<[a-c]|>|</[a-c]>|/|&[a-z#0-9]{0,3};|[a-z:= '\"]|<!\\[CDATA\\[|\\]\\]>|<!--|-->|<\\?|门){0,60}") {
            if let Ok(root) = Element::parse(text.as_bytes()) {
                prop_assert!(!root.name().is_empty());
            }
        }
    }
}
