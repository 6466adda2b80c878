//! What a misspelled word was probably meant to be.

/// The candidate nearest to `word`, if it is near enough to have been meant.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase();
    let (distance, nearest) = candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase()), candidate))
        .min()?;
    // A third of the letters may be wrong: more, and it is another word.
    let allowed = (folded.chars().count().max(nearest.chars().count()) / 3).max(1);
    (distance <= allowed).then_some(nearest)
}

/// "did you mean `x`?", or else what there is to choose from.
pub(super) fn suggestion<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
    what: &str,
) -> Option<String> {
    const MOST_LISTED: usize = 12;
    let candidates = candidates.into_iter();
    if let Some(meant) = did_you_mean(word, candidates.clone()) {
        return Some(format!("did you mean `{meant}`?"));
    }
    let listed: Vec<String> = candidates.clone().take(MOST_LISTED).map(|name| format!("`{name}`")).collect();
    match listed.is_empty() {
        true => Some(format!("there are no {what}")),
        false => {
            let more = if candidates.count() > MOST_LISTED { ", …" } else { "" };
            Some(format!("{what}: {}{more}", listed.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_listed() {
        assert_eq!(did_you_mean("zonse", ["zones", "lines"]), Some("zones"));
        assert_eq!(did_you_mean("FPS", ["fps"]), Some("fps"));
        assert_eq!(did_you_mean("elephant", ["zones", "lines"]), None);
        assert_eq!(did_you_mean("x", []), None);
        assert_eq!(suggestion("elephant", ["a", "b"], "zones").unwrap(), "zones: `a`, `b`");
        assert_eq!(suggestion("elephant", [], "zones").unwrap(), "there are no zones");
    }
}
