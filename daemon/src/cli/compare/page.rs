//! A comparison as one page of HTML that needs nothing else: style and stills are in it, and no script is.
//!
//! Everything that comes from a configuration, a clip or a path is escaped, and a policy in the page forbids a browser to fetch
//! or run anything whatever it may hold. Pictures are stills, and only those.

use std::{
    fmt::{self, Display, Write as _},
    io::{self, Write},
};

use super::{
    cost::Cost,
    outcome::{ComparedClip, Comparison, Sides, Told},
    words::Words,
};
use crate::evidence::still::Still;

const STYLE: &str = include_str!("page.css");

/// What the page may load: the pictures and the style that are in it.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// Writes the page in the language of these words.
pub fn write(out: &mut impl Write, comparison: &Comparison, words: &Words) -> io::Result<()> {
    let (title, language) = (words.title, words.language());
    writeln!(out, "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>")?;
    writeln!(out, "<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>")?;
    let Sides { a, b } = &comparison.configs;
    writeln!(out, "<dl><dt>A</dt><dd>{}</dd><dt>B</dt><dd>{}</dd></dl>", Text(a), Text(b))?;
    for clip in &comparison.clips {
        write_clip(out, clip, words)?;
    }
    if comparison.clips.len() > 1 {
        writeln!(out, "<section>\n<h2>{}</h2>", words.in_all)?;
        write_cost(out, &comparison.cost(), words)?;
        writeln!(out, "</section>")?;
    }
    if !comparison.unplayable.is_empty() {
        writeln!(out, "<section>\n<h2>{}</h2>\n<ul>", words.unplayable)?;
        comparison.unplayable.iter().try_for_each(|clip| writeln!(out, "<li>{}</li>", Text(clip)))?;
        writeln!(out, "</ul>\n</section>")?;
    }
    writeln!(out, "</body>\n</html>")?;
    out.flush()
}

fn write_clip(out: &mut impl Write, clip: &ComparedClip, words: &Words) -> io::Result<()> {
    writeln!(out, "<section>\n<h2>{}</h2>\n<p>{}</p>", Text(&clip.clip), words.counts(clip.counts()))?;
    write_cost(out, &clip.cost, words)?;
    if clip.incidents.is_empty() {
        return writeln!(out, "<p>{}</p>\n</section>", words.nothing);
    }
    writeln!(out, "<table class=\"incidents\">\n<thead><tr><th></th><th>A</th><th>B</th></tr></thead>\n<tbody>")?;
    for row in &clip.incidents {
        let (class, Sides { a, b }) = (words.class(row), row.sides());
        let differs = words.differences(row.differs()).map(|differs| format!("<br><small>{differs}</small>"));
        writeln!(out, "<tr><th>{class}{}</th>", differs.unwrap_or_default())?;
        for told in [a, b] {
            match told {
                Some(told) => write_told(out, told, words)?,
                None => writeln!(out, "<td class=\"none\"></td>")?,
            }
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody>\n</table>\n</section>")
}

fn write_cost(out: &mut impl Write, cost: &Sides<Cost>, words: &Words) -> io::Result<()> {
    writeln!(out, "<table class=\"cost\">\n<thead><tr><th></th><th>A</th><th>B</th></tr></thead>\n<tbody>")?;
    for ((name, a), b) in words.cost.iter().zip(cost.a.figures()).zip(cost.b.figures()) {
        writeln!(out, "<tr><th>{name}</th><td>{a}</td><td>{b}</td></tr>")?;
    }
    writeln!(out, "</tbody>\n</table>")
}

/// A cell with the still of an incident and what is told of it.
fn write_told(out: &mut impl Write, told: &Told, words: &Words) -> io::Result<()> {
    let Told { incident, still } = told;
    writeln!(out, "<td><figure>")?;
    match still {
        Some(Ok(Still { jpeg, width, height, .. })) => {
            let (alt, data) = (Text(&incident.title), openssl::base64::encode_block(jpeg));
            let source = format!("data:image/jpeg;base64,{data}");
            writeln!(out, "<img width=\"{width}\" height=\"{height}\" alt=\"{alt}\" src=\"{source}\">")?;
        }
        Some(Err(why)) => writeln!(out, "<p class=\"missing\">{}</p>", words.no_still(*why))?,
        None => writeln!(out, "<p class=\"missing\">{}</p>", words.no_picture)?,
    }
    let mut facts = vec![
        format!("{:.1}–{:.1} s", incident.began, incident.last_seen),
        words.severity(incident.severity).to_owned(),
        format!("{} {:.2}", words.score, incident.score),
    ];
    facts.extend(words.things(&incident.counts));
    let (title, rule, facts) = (Text(&incident.title), Text(incident.rule.as_str()), facts.join(words.comma));
    writeln!(out, "<figcaption><b>{title}</b><br><code>{rule}</code><br>{facts}</figcaption>\n</figure></td>")
}

/// Text that is nothing but text, in an element or in a quoted attribute.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c if c.is_control() => f.write_char(char::REPLACEMENT_CHARACTER),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use snowgate_core::incidents::Locale;

    use super::*;
    use crate::cli::{
        compare::testing::{compared, comparison, incident},
        replay::expect::ReplayedIncident,
    };

    fn page(comparison: &Comparison, locale: Locale) -> String {
        let mut out = Vec::new();
        write(&mut out, comparison, Words::of(locale)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_small_page() {
        insta::assert_snapshot!(page(&comparison(), Locale::En));
    }

    #[test]
    fn the_page_speaks_chinese() {
        let page = page(&comparison(), Locale::ZhCn);
        let words = [
            "lang=\"zh-CN\"",
            "仅 A 有",
            "两者都有",
            "不同之处：严重程度",
            "仅 B 有 1 个",
            "重大",
            "无法播放",
            "推理区域数",
        ];
        for word in words {
            assert!(page.contains(word), "{word} is missing in\n{page}");
        }
    }

    #[test]
    fn what_comes_from_outside_is_nothing_but_text() {
        let hostile = "\"><script>alert('x')</script>&\0".to_owned();
        let title = || ReplayedIncident { title: hostile.clone(), ..incident("a", "yard", 1.0, 2.0) };
        let mut clip = compared(vec![title()], vec![title()]);
        clip.clip.clone_from(&hostile);
        let configs = Sides { a: hostile.clone(), b: hostile.clone() };
        let page = page(&Comparison { configs, clips: vec![clip], unplayable: vec![hostile.clone()] }, Locale::En);
        assert!(!page.contains("<script") && !page.contains('\0'), "{page}");
        // Two configurations, a clip, one that is none, and the title in and below each of two stills.
        assert_eq!(page.matches("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;\u{fffd}").count(), 8);
    }

    #[test]
    fn the_page_needs_nothing_from_outside() {
        let page = page(&comparison(), Locale::En);
        assert!(
            ["http:", "https:", "url(", "@import", "<link", "<script", "src=\"/"].iter().all(|s| !page.contains(s))
        );
        assert_eq!(page.matches("src=\"").count(), page.matches("src=\"data:image/jpeg;base64,").count());
    }

    proptest! {
        #[test]
        fn no_text_ends_where_it_stands(text in "\\PC*|[<>&\"'\\x00-\\x1f]*") {
            let escaped = Text(&text).to_string();
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            prop_assert!(escaped.chars().all(|c| !c.is_control()));
        }
    }
}
