//! What a sensor's rules can be told.

use crate::{
    ids::Id,
    incidents::{Merge, Worse},
    priority::Priority,
    rules::spec::{NoMerge, ReportSpec, merge_within},
    sensor::anomaly::spec::Count,
    spec,
    spec::{Fraction, Located, Maybe, Number, TimeSpan},
    tagged,
};

spec! {
    /// One rule of a sensor.
    pub struct SensorRuleSpec {
        /// Name of the rule; unique within the sensor.
        id: Located<Id>,
        /// The quantity it watches.
        quantity: Located<Id>,
        /// The schedule, as in schedules.toml, while which it watches; always if left out.
        schedule: Maybe<Located<Id>> = Maybe::NONE,
        /// How long the condition must hold before it is an incident.
        r#for: TimeSpan = TimeSpan::secs(0),
        /// How long the condition must have been over before the incident ends.
        linger: TimeSpan = TimeSpan::secs(0),
        /// An incident is kept open for at least so long, so that what comes again meanwhile joins it instead of opening
        /// another one.
        cool_down: TimeSpan = TimeSpan::secs(0),
        /// For how long it opens no other incident after people have closed one of its incidents, or rejected it as a false alarm;
        /// it is never quiet if left out. At most 7 days. Not of buttons.
        quiet_after: Maybe<TimeSpan> = Maybe::NONE,
        /// Whose still is made first when many are wanted at once, and last gives way when they are too many.
        priority: Priority = Priority::Normal,
        /// How it is reported.
        flatten report: ReportSpec,
        /// What it watches for.
        flatten kind: SensorRuleKind,
    }
}

impl SensorRuleSpec {
    /// Whether what it finds joins an incident that people have not finished with.
    ///
    /// # Errors
    /// It would join for ever, or for no time at all.
    pub fn merge(&self) -> Result<Option<Merge>, NoMerge> {
        match &self.kind {
            SensorRuleKind::Threshold(keys) => {
                let worse = match (keys.above.is_some(), keys.below.is_some()) {
                    (true, false) => Worse::Higher,
                    (false, true) => Worse::Lower,
                    (true, true) | (false, false) => Worse::Latest,
                };
                merge_within(keys.merge_within.0, worse)
            }
            SensorRuleKind::Silence(keys) => merge_within(keys.merge_within.0, Worse::Latest),
            SensorRuleKind::Anomaly(keys) => merge_within(keys.merge_within.0, Worse::Higher),
            SensorRuleKind::Change(_) | SensorRuleKind::Button(_) => Ok(None),
        }
    }
}

tagged! {
    /// What a rule of a sensor watches for.
    pub enum SensorRuleKind by "kind" {
        /// The value is above or below a limit.
        "threshold" => Threshold(ThresholdSpec),
        /// The value changes by so much within a while.
        "change" => Change(ChangeSpec),
        /// Nothing has been heard for so long.
        "silence" => Silence(SilenceSpec),
        /// The value is unlike anything the sensor has shown before.
        "anomaly" => Anomaly(AnomalyRuleSpec),
        /// Somebody presses a button: each time counts, at once.
        "button" => Button(ButtonSpec),
    }
}

spec! {
    /// Keys of a threshold rule; one of `above` and `below`, or both.
    pub struct ThresholdSpec {
        /// Values above this are an incident; in the reported unit.
        above: Maybe<Number> = Maybe::NONE,
        /// Values below this are an incident; in the reported unit.
        below: Maybe<Number> = Maybe::NONE,
        /// How far the value must come back behind the limit before it is over, so that one that wavers around it alarms once.
        hysteresis: Number = Number(0.0),
        /// For how long after an incident was opened what is found anew joins it, if people have not finished with it by then;
        /// nothing joins if left out. At most 30 days.
        merge_within: Maybe<TimeSpan> = Maybe::NONE,
    }
}

spec! {
    /// Keys of a change rule; one of `rise` and `fall`, or both.
    pub struct ChangeSpec {
        /// A rise by more than this is an incident; in the reported unit.
        rise: Maybe<Number> = Maybe::NONE,
        /// A fall by more than this is an incident; in the reported unit.
        fall: Maybe<Number> = Maybe::NONE,
        /// The while within which.
        within: TimeSpan,
    }
}

spec! {
    /// Keys of a silence rule.
    pub struct SilenceSpec {
        /// Nothing heard for so long is silence: several times what lies between two readings.
        after: TimeSpan,
        /// For how long after an incident was opened what is found anew joins it, if people have not finished with it by then;
        /// nothing joins if left out. At most 30 days.
        merge_within: Maybe<TimeSpan> = Maybe::NONE,
    }
}

spec! {
    /// Keys of an anomaly rule.
    pub struct AnomalyRuleSpec {
        /// Scores from here on are an incident. The same number means the same on every sensor; higher is quieter.
        min_score: Fraction = Fraction(0.5),
        /// Readings with lower scores, one after the other, after which it is over. What is unusual tends to stay so for a
        /// while, with breaks, and one anomaly is one incident.
        over_after: Count<1, 100_000> = Count::new(100),
        /// For how long after an incident was opened what is found anew joins it, if people have not finished with it by then;
        /// nothing joins if left out. At most 30 days.
        merge_within: Maybe<TimeSpan> = Maybe::NONE,
    }
}

spec! {
    /// Keys of a button rule.
    pub struct ButtonSpec {
        /// Values from here on mean that it is pressed.
        pressed_from: Number = Number(0.5),
        /// Whether each message with such a value is a press, as of devices that send nothing when it is let go. Otherwise it
        /// must have been let go in between.
        every_message: bool = true,
    }
}
