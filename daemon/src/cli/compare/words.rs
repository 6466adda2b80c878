//! The words of a comparison, in both languages.

use snowgate_core::{
    incidents::{Counts, Locale},
    severity::Severity,
};

use super::{
    cost::Cost,
    outcome::{Difference, Row},
    stills::NoStill,
};

/// What a comparison says in one language.
#[derive(Debug)]
pub struct Words {
    /// What it is.
    pub title: &'static str,
    /// Everywhere.
    pub in_both: &'static str,
    /// Under the first configuration only.
    pub only_a: &'static str,
    /// Under the second configuration only.
    pub only_b: &'static str,
    /// Says in what two incidents differ.
    pub differs: &'static str,
    /// Nothing was found.
    pub nothing: &'static str,
    /// Says what could not be played.
    pub unplayable: &'static str,
    /// All clips.
    pub in_all: &'static str,
    /// In the order of [`Cost::figures`].
    pub cost: [&'static str; Cost::FIGURES],
    /// A score.
    pub score: &'static str,
    /// No picture opened the incident.
    pub no_picture: &'static str,
    /// Between what is listed.
    pub comma: &'static str,
    /// Between a word and what it is about.
    pub colon: &'static str,
    locale: Locale,
}

const ENGLISH: Words = Words {
    title: "Two configurations compared",
    in_both: "in both",
    only_a: "only in A",
    only_b: "only in B",
    differs: "differs in",
    nothing: "no incidents",
    unplayable: "Could not be played",
    in_all: "In all",
    cost: ["CPU time", "time", "times real time", "pictures decoded", "pictures inferred", "regions inferred"],
    score: "score",
    no_picture: "no picture opened it",
    comma: ", ",
    colon: ": ",
    locale: Locale::En,
};

const CHINESE: Words = Words {
    title: "两份配置的对比",
    in_both: "两者都有",
    only_a: "仅 A 有",
    only_b: "仅 B 有",
    differs: "不同之处",
    nothing: "没有事件",
    unplayable: "无法播放",
    in_all: "合计",
    cost: ["CPU 时间", "用时", "相对实时的倍数", "解码画面数", "推理画面数", "推理区域数"],
    score: "得分",
    no_picture: "不由画面触发",
    comma: "，",
    colon: "：",
    locale: Locale::ZhCn,
};

impl Words {
    /// Those of this language.
    pub const fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::ZhCn => &CHINESE,
            Locale::En => &ENGLISH,
        }
    }

    /// The language as HTML names it.
    pub const fn language(&self) -> &'static str {
        self.locale.as_str()
    }

    /// Where an incident is told.
    pub const fn class(&self, row: &Row) -> &'static str {
        match row {
            Row::Both { .. } => self.in_both,
            Row::OnlyA { .. } => self.only_a,
            Row::OnlyB { .. } => self.only_b,
        }
    }

    /// `3 in both, 1 only in A, 0 only in B`, in both, only in A and only in B.
    pub fn counts(&self, counts: [usize; 3]) -> String {
        let classes = [self.in_both, self.only_a, self.only_b];
        let counted = classes.into_iter().zip(counts).map(|(class, count)| match self.locale {
            Locale::ZhCn => format!("{class} {count} 个"),
            Locale::En => format!("{count} {class}"),
        });
        counted.collect::<Vec<_>>().join(self.comma)
    }

    /// `differs in severity, times`; nothing where nothing does.
    pub fn differences(&self, differs: &[Difference]) -> Option<String> {
        let words: Vec<_> = differs.iter().map(|difference| self.difference(*difference)).collect();
        let between = match self.locale {
            Locale::ZhCn => self.colon,
            Locale::En => " ",
        };
        (!words.is_empty()).then(|| format!("{}{between}{}", self.differs, words.join(self.comma)))
    }

    /// `3 things, 2 at once, 1 left to right, 2 right to left`; nothing of what has no things in it.
    pub fn things(&self, counts: &Counts) -> Option<String> {
        let Counts { things, peak, left_to_right, right_to_left } = counts;
        if *things == 0 {
            return None;
        }
        let mut said = match self.locale {
            Locale::ZhCn => format!("{things} 个目标，最多同时 {peak} 个"),
            Locale::En => format!("{things} thing(s), {peak} at once"),
        };
        if left_to_right + right_to_left > 0 {
            said += &match self.locale {
                Locale::ZhCn => format!("，从左到右 {left_to_right}，从右到左 {right_to_left}"),
                Locale::En => format!(", {left_to_right} left to right, {right_to_left} right to left"),
            };
        }
        Some(said)
    }

    /// How bad it is.
    pub const fn severity(&self, severity: Severity) -> &'static str {
        match (self.locale, severity) {
            (Locale::En, severity) => severity.as_str(),
            (Locale::ZhCn, Severity::Minor) => "轻微",
            (Locale::ZhCn, Severity::Ordinary) => "一般",
            (Locale::ZhCn, Severity::Major) => "重大",
            (Locale::ZhCn, Severity::Critical) => "特大",
        }
    }

    /// Why there is no still.
    pub const fn no_still(&self, why: NoStill) -> &'static str {
        let (zh, en) = match why {
            NoStill::Off => ("该配置不留截图", "this configuration makes no stills"),
            NoStill::Full => ("截图已满", "too many stills before it"),
            NoStill::Failed => ("无法遮盖，不显示", "could not be covered, so it is not shown"),
        };
        match self.locale {
            Locale::ZhCn => zh,
            Locale::En => en,
        }
    }

    const fn difference(&self, difference: Difference) -> &'static str {
        match (self.locale, difference) {
            (Locale::En, difference) => difference.as_str(),
            (Locale::ZhCn, Difference::Rule) => "规则",
            (Locale::ZhCn, Difference::Area) => "区域",
            (Locale::ZhCn, Difference::Grid) => "网格",
            (Locale::ZhCn, Difference::Category) => "类别",
            (Locale::ZhCn, Difference::Severity) => "严重程度",
            (Locale::ZhCn, Difference::Counts) => "数量",
            (Locale::ZhCn, Difference::Times) => "时间",
        }
    }
}
