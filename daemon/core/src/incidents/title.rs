//! The one line that people read first.

use super::Locale;

/// What a title is made of, all in the gateway's language.
pub(super) struct TitleParts<'a> {
    pub category: &'a str,
    pub camera: &'a str,
    pub area: &'a str,
}

/// `人员闯入：北门，院内` or `Intrusion: North gate, yard`.
pub(super) fn title(locale: Locale, parts: &TitleParts<'_>) -> String {
    let TitleParts { category, camera, area } = parts;
    match locale {
        Locale::ZhCn => format!("{category}：{camera}，{area}"),
        Locale::En => format!("{category}: {camera}, {area}"),
    }
}
