//! Checks of clips: who may open them, whether anybody may, and whether what they are made of reaches far enough.

use std::{collections::BTreeMap, sync::Arc};

use snowgate_core::{
    ids::Id,
    incidents::spec::CategorySpec,
    spec::{ByteSize, TimeSpan},
};

use super::{
    checks::Checker,
    problem::{Place, Problem, Source},
    resolved::CameraConfig,
    toml_errors::place_of,
};
use crate::evidence::clip::{
    seal::{MOST_RECIPIENTS, Recipient, RecipientError},
    spec::ClipsSpec,
};

/// How public keys come about.
const MAKE_A_KEY: &str =
    "age-keygen, on the machine of whoever is to see the clips, shows a public key that begins with \"age1\"";

pub(super) fn spec(spec: &ClipsSpec, check: &mut Checker<'_>) {
    let spans = |most| TimeSpan::secs(1)..=TimeSpan::secs(most);
    check.within("/evidence/clips/pre_roll", spec.pre_roll, TimeSpan::secs(0)..=TimeSpan::secs(60));
    check.within("/evidence/clips/post_roll", spec.post_roll, spans(300));
    check.within("/evidence/clips/longest", spec.longest, spans(600));
    check.within("/evidence/clips/max_size", spec.max_size, ByteSize::mib(1)..=ByteSize::mib(256));
    check.within("/evidence/clips/at_once", spec.at_once, 1..=16);
    check.within("/evidence/clips/copy_fps", spec.copy_fps, 1..=5);
    check.within("/evidence/clips/copy_width", spec.copy_width, 320..=1920);
    if spec.longest < spec.pre_roll {
        let place = place_of(check.source, "/evidence/clips/longest");
        let message = format!(
            "a clip of {} at the most ends before its incident begins: pre_roll is {}",
            spec.longest, spec.pre_roll
        );
        check.error_at(place, message, None);
    }
    recipients(spec, check);
}

fn recipients(spec: &ClipsSpec, check: &mut Checker<'_>) {
    let mut known: BTreeMap<String, _> = BTreeMap::new();
    for key in &spec.recipients {
        match Recipient::parse(key) {
            Ok(recipient) => {
                if let Some(first) = known.insert(recipient.to_string(), key.span) {
                    let first = check.place(first);
                    let problem = Problem::error(check.place(key.span), "this recipient is named twice");
                    check.problems.push(problem.related(first, "first named here"));
                }
            }
            Err(RecipientError::PrivateKey) => {
                let help = "take it off this box, make a new pair, and write its public key here".to_owned();
                check.error(key.span, RecipientError::PrivateKey.to_string(), help);
            }
            Err(error) => check.error(key.span, error.to_string(), MAKE_A_KEY.to_owned()),
        }
    }
    if let Some(key) = spec.recipients.get(MOST_RECIPIENTS) {
        check.error(key.span, format!("clips are sealed for {MOST_RECIPIENTS} recipients at the most"), None);
    }
}

/// Categories that want sealed clips, and nobody who could open them.
pub(super) fn without_recipients(
    categories: &BTreeMap<Id, CategorySpec>,
    spec: &ClipsSpec,
    source: Option<&Arc<Source>>,
) -> Option<Problem> {
    let category = categories.values().find(|category| category.clip).filter(|_| spec.recipients.is_empty())?;
    let message =
        format!("category `{}` wants clips, and there is nobody to seal them for: none will be made", *category.id);
    let help = format!("name recipients under [evidence.clips] in gateway.toml; {MAKE_A_KEY}");
    Some(Problem::warning(Place::span(source?, category.id.span), message).help(help))
}

/// A camera of which clips are wanted, and whose ring holds less than they are to begin with.
pub(super) fn ring_is_short(
    camera: &CameraConfig,
    categories: &BTreeMap<Id, CategorySpec>,
    spec: &ClipsSpec,
    source: &Arc<Source>,
) -> Option<Problem> {
    let mut wanted = camera.rules.iter().filter_map(|rule| categories.get(&rule.report.category));
    let category = wanted.find(|category| category.clip || category.covered_clip)?;
    let held = camera.ring.duration;
    (held < spec.pre_roll).then(|| {
        let message = format!(
            "clips of category `{}` are to begin {} before their incidents; the ring holds {held}",
            *category.id, spec.pre_roll
        );
        let help = format!("write duration = \"{}\" or more under [ring]", spec.pre_roll);
        Problem::warning(place_of(source, "/ring/duration"), message).help(help)
    })
}
