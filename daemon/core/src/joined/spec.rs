//! What a joined rule can be told.

use crate::{
    choice,
    ids::Id,
    priority::Priority,
    rules::spec::ReportSpec,
    spec,
    spec::{Bounded, Located, Maybe, TimeSpan},
    tagged,
};

spec! {
    /// rules.d/*.toml: one rule that joins what rules of cameras and sensors tell.
    pub struct JoinedRuleSpec {
        /// Name of the rule; unique among joined rules.
        id: Located<Id>,
        /// What people call it; used in titles. The id if left out.
        name: Maybe<String> = Maybe::NONE,
        /// The schedule, as in schedules.toml, while which it watches; always if left out.
        schedule: Maybe<Located<Id>> = Maybe::NONE,
        /// For how long what has ended still counts, 0s to 7d. What goes on counts in any case.
        within: TimeSpan,
        /// What must be the same of all that it joins; nothing if left out.
        same: Maybe<Same> = Maybe::NONE,
        /// All that it joins stands no further than so many metres from one of them, as the crow flies, 1 to 100000. What has no
        /// place is not joined then. Everywhere if left out.
        within_metres: Maybe<Located<Bounded<1, 100_000>>> = Maybe::NONE,
        /// An incident is kept open for at least so long, so that what comes again meanwhile joins it instead of opening
        /// another one.
        cool_down: TimeSpan = TimeSpan::secs(0),
        /// How long the condition must have been over before the incident ends.
        linger: TimeSpan = TimeSpan::secs(0),
        /// For how long it opens no other incident after people have closed one of its incidents, or rejected it as a false
        /// alarm; not at all if left out.
        quiet_after: Maybe<TimeSpan> = Maybe::NONE,
        /// Whose still is made first when many are wanted at once.
        priority: Priority = Priority::Normal,
        /// How it is reported. Its grid is that of the input which completes it if left out.
        flatten report: ReportSpec,
        /// What it joins, 2 to 16.
        inputs: Vec<Located<InputSpec>>,
        /// How many of them, and in which order.
        flatten when: When,
    }
}

spec! {
    /// What one input listens to: the rules of cameras and sensors that all keys given here fit. No rule fits two inputs.
    pub struct InputSpec {
        /// The camera's id; any camera's rules if left out.
        camera: Maybe<Located<Id>> = Maybe::NONE,
        /// The sensor's id; any sensor's rules if left out.
        sensor: Maybe<Located<Id>> = Maybe::NONE,
        /// The rule's id, in whichever camera or sensor has one of that name; any rule if left out, but then `category` is given.
        rule: Maybe<Located<Id>> = Maybe::NONE,
        /// The category in which the rule reports; any if left out, but then `rule` is given.
        category: Maybe<Located<Id>> = Maybe::NONE,
    }
}

choice! {
    /// What must be the same of all that a joined rule joins.
    pub enum Same {
        /// The grid that they report to.
        Grid = "grid",
    }
}

tagged! {
    /// How many inputs must be met, and in which order.
    pub enum When by "when" {
        /// Every input.
        "all" => All(AllSpec),
        /// One of the inputs, or more.
        "any" => Any(AnySpec),
        /// Every input, and each begins no earlier than the one written before it.
        "sequence" => Sequence(SequenceSpec),
        /// So many of the inputs, or more.
        "at_least" => AtLeast(AtLeastSpec),
    }
}

spec! {
    /// Keys of `all`.
    pub struct AllSpec {}
}

spec! {
    /// Keys of `any`.
    pub struct AnySpec {}
}

spec! {
    /// Keys of `sequence`.
    pub struct SequenceSpec {}
}

spec! {
    /// Keys of `at_least`.
    pub struct AtLeastSpec {
        /// How many inputs, 1 to as many as there are.
        count: Located<u32>,
    }
}

impl JoinedRuleSpec {
    /// The most inputs.
    pub const MOST_INPUTS: usize = 16;

    /// How many inputs must be met.
    pub fn needed(&self) -> usize {
        match &self.when {
            When::All(_) | When::Sequence(_) => self.inputs.len(),
            When::Any(_) => 1,
            When::AtLeast(keys) => usize::try_from(keys.count.value).unwrap_or(usize::MAX),
        }
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.id.as_str())
    }
}
