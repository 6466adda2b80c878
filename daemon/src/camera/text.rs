//! Words of a device or a gateway, made safe to print and to write into files.

/// The most characters kept of what a device says of itself.
const LONGEST: usize = 128;

/// `said` on one line, without what a terminal or an editor would act upon, and no longer than 128 characters. `None` if nothing is left.
pub fn plain(said: &str) -> Option<String> {
    let text: String = one_line(said).chars().take(LONGEST).collect();
    (!text.is_empty()).then_some(text)
}

/// All of `said`, likewise.
pub fn one_line(said: &str) -> String {
    let visible: String =
        said.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| is_visible(*c)).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Neither a control character nor one that changes the direction or the place of others (Unicode Standard Annex 9).
fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_acts_upon_is_left_out() {
        assert_eq!(plain("  HIK\u{1b}[31mVISION\n\tDS-2CD ").as_deref(), Some("HIK[31mVISION DS-2CD"));
        assert_eq!(plain("东门 \u{202e}枪机").as_deref(), Some("东门 枪机"));
        assert_eq!(plain(" \u{7}\n"), None);
        assert_eq!(plain(&"x".repeat(500)).map(|text| text.len()), Some(LONGEST));
    }

    proptest! {
        #[test]
        fn anything_becomes_one_short_line(said in any::<String>()) {
            let text = plain(&said).unwrap_or_default();
            prop_assert!(text.chars().count() <= LONGEST && !text.contains(|c: char| c.is_control()));
        }
    }
}
