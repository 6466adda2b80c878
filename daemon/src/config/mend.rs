//! A file with mistakes in it, read as far as it can be: so that what is wrong across files shows at once with what is
//! wrong in one.
//!
//! Only what nothing else refers to is taken out: unknown keys, and whole rules. A file with any other mistake is not
//! read on, because what would be said of the rest (a zone that is missing, a grid that is not there) might be the
//! mistake's doing.

use snowgate_core::spec::{Error, ErrorKind, Span, Value, ValueInner};

use super::suggest::did_you_mean;

/// The array whose elements nothing refers to.
const RULES: &str = "rules";

/// Keys that other settings refer to, fall back on, or ask for one of: a misspelt one is missed elsewhere.
const REFERRED_TO: [&str; 20] = [
    "above",
    "anomaly",
    "below",
    "broker",
    "brokers",
    "buses",
    "category",
    "fall",
    "gbt26875",
    "grid",
    "hj212",
    "http",
    "levels",
    "lines",
    "nodes",
    "report_in",
    "rise",
    "sensors",
    "sl651",
    "zones",
];

/// The text without what the errors are about; `None` where that cannot be taken out.
pub(super) fn without<'a>(text: &'a str, errors: &[Error]) -> Option<Value<'a>> {
    let mut root = toml_span::parse(text).ok()?;
    let mut in_rules = Vec::new();
    for error in errors {
        match &error.kind {
            ErrorKind::UnexpectedKeys { keys, expected } => {
                let meant = |key| did_you_mean(key, expected.iter().map(String::as_str));
                if keys.iter().any(|(key, _)| meant(key).is_some_and(|meant| REFERRED_TO.contains(&meant))) {
                    return None;
                }
                if !keys.iter().all(|(_, span)| remove_key(&mut root, *span)) {
                    in_rules.push(error.span);
                }
            }
            _ => in_rules.push(error.span),
        }
    }
    remove_rules(&mut root, &in_rules).then_some(root)
}

/// Takes out the key that stands at `span`, in whichever table it is.
fn remove_key(value: &mut Value<'_>, span: Span) -> bool {
    let mut inner = value.take();
    let removed = match &mut inner {
        ValueInner::Table(table) => {
            let before = table.len();
            table.retain(|key, _| key.span != span);
            table.len() < before || table.values_mut().any(|value| remove_key(value, span))
        }
        ValueInner::Array(array) => array.iter_mut().any(|value| remove_key(value, span)),
        _ => false,
    };
    value.set(inner);
    removed
}

/// Takes out every rule that holds one of the spans; answers whether all of them were held by rules.
fn remove_rules(root: &mut Value<'_>, spans: &[Span]) -> bool {
    let mut inner = root.take();
    let mut held = vec![false; spans.len()];
    if let ValueInner::Table(table) = &mut inner
        && let Some(rules) = table.get_mut(RULES)
    {
        let mut list = rules.take();
        if let ValueInner::Array(rules) = &mut list {
            rules.retain(|rule| {
                let wrong = spans.iter().zip(&mut held).filter(|(span, _)| holds(rule, **span));
                wrong.map(|(_, held)| *held = true).count() == 0
            });
        }
        rules.set(list);
    }
    root.set(inner);
    held.into_iter().all(|held| held)
}

/// Whether the span lies in this value or in one of its parts.
fn holds(value: &Value<'_>, span: Span) -> bool {
    if value.span.start <= span.start && span.end <= value.span.end {
        return true;
    }
    match value.as_ref() {
        ValueInner::Table(table) => table.values().any(|value| holds(value, span)),
        ValueInner::Array(array) => array.iter().any(|value| holds(value, span)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use snowgate_core::spec::Deserialize;

    use super::*;
    use crate::config::spec::CameraFile;

    const CAMERA: &str = "id = 'a'\n[stream]\ndetect = 'rtsp://host/'\n";
    const GOOD: &str = "[[rules]]\nid = 'good'\nkind = 'intrusion'\nzone = 'z'\n";

    fn mended(text: &str) -> Option<CameraFile> {
        let errors = CameraFile::deserialize(&mut toml_span::parse(text).unwrap()).unwrap_err().errors;
        without(text, &errors).map(|mut rest| CameraFile::deserialize(&mut rest).unwrap())
    }

    #[test]
    fn unknown_keys_and_wrong_rules_are_taken_out() {
        let bad = "[[rules]]\nid = 'bad'\nkind = 'intrusoin'\nzone = 3\nfor = 5\nfro = 6\n";
        let file = mended(&format!("nmae = 'x'\n{CAMERA}{bad}{GOOD}")).unwrap();
        assert_eq!(file.rules.len(), 1);
        assert_eq!(file.rules[0].id.as_str(), "good");
        let two = "[[rules]]\nid = 'bad'\nkind = 'intrusion'\nzone = 3\nfor = 5\nmin_score = 2\n";
        assert_eq!(mended(&format!("{CAMERA}{two}{GOOD}")).unwrap().rules.len(), 1);
    }

    #[test]
    fn what_others_refer_to_is_not_taken_out() {
        let zone = "[[zones]]\nid = 'z'\npolygon = [[0.1, 0.1]]\n";
        assert_eq!(mended(&format!("{CAMERA}{zone}{GOOD}")), None);
        assert_eq!(mended(&format!("zonse = []\n{CAMERA}{GOOD}")), None);
        assert_eq!(mended(GOOD), None, "keys that are missing cannot be made up");
    }
}
