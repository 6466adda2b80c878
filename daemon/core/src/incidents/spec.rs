//! What can be told about categories and about the grid.

use crate::{
    choice,
    ids::Id,
    severity::Severity,
    spec,
    spec::{Located, Maybe, TimeSpan},
};

choice! {
    /// The language of what people read.
    pub enum Locale {
        /// Simplified Chinese.
        ZhCn = "zh-CN",
        /// English.
        En = "en",
    }
}

spec! {
    /// categories.toml.
    pub struct CategoriesSpec {
        /// Every category that rules may name.
        category: Vec<CategorySpec>,
    }
}

spec! {
    /// One kind of incident, as the grid system files it.
    pub struct CategorySpec {
        /// Name that rules refer to, and that incidents carry.
        id: Located<Id>,
        /// What people call it.
        name: Names,
        /// Severity, unless the rule, zone or camera says otherwise.
        severity: Severity = Severity::Ordinary,
        /// Time within which it must be handled, from its opening; none if left out.
        time_limit: Maybe<TimeSpan> = Maybe::NONE,
    }
}

spec! {
    /// One name in both languages.
    pub struct Names {
        /// Simplified Chinese.
        zh: String,
        /// English.
        en: String,
    }
}

spec! {
    /// The tree of grids that events belong to, and where events start in it.
    pub struct GridSpec {
        /// Names of the levels from the top, for instance county, township, village, grid.
        levels: Located<Vec<Id>>,
        /// The level at which major and critical incidents start (越级上报).
        major_level: Located<Id>,
        /// Every node of the tree that this gateway reports for, each with its parents.
        nodes: Vec<GridNodeSpec>,
    }
}

spec! {
    /// One node of the grid tree.
    pub struct GridNodeSpec {
        /// Its code, unique: letters and digits.
        code: Located<String>,
        /// What people call it.
        name: String,
        /// Its level, one of `levels`.
        level: Located<Id>,
        /// Code of the node above it; left out at the top.
        parent: Maybe<Located<String>> = Maybe::NONE,
    }
}
