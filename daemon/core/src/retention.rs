//! How long evidence is kept, and how much of it: by default, and of single cameras and categories.
//!
//! What is said of a camera and what is said of a category both hold for a file that belongs to both: it is kept at least as
//! long as the longer minimum says, at most as long as the shorter maximum says, and counts towards both quotas. Where the
//! minimum is longer than the maximum, the minimum holds.

use std::{collections::HashMap, time::Duration};

use crate::{
    ids::Id,
    spec,
    spec::{ByteSize, Maybe, TimeSpan},
};

spec! {
    /// How long evidence of a camera or of a category is kept, and how much of it.
    pub struct RetentionSpec {
        /// So long nothing takes it away; as for all evidence if left out.
        keep_at_least: Maybe<TimeSpan> = Maybe::NONE,
        /// So long it is kept at the most; as for all evidence if left out.
        keep: Maybe<TimeSpan> = Maybe::NONE,
        /// The most bytes of it; no more than of all evidence if left out.
        quota: Maybe<ByteSize> = Maybe::NONE,
    }
}

/// The least and the longest time that a file is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// So long nothing takes it away.
    pub at_least: Duration,
    /// Afterwards it goes.
    pub at_most: Duration,
}

/// The rules of one box.
#[derive(Debug, Clone, PartialEq)]
pub struct Retention {
    /// Of whatever nothing else is said of.
    pub default: Period,
    /// The most bytes of all evidence.
    pub quota: u64,
    /// What is said of single cameras.
    pub cameras: HashMap<Id, RetentionSpec>,
    /// What is said of single categories.
    pub categories: HashMap<Id, RetentionSpec>,
}

/// Evidence that has a quota of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Group {
    /// All of it.
    All,
    /// That of one camera.
    Camera(Id),
    /// That of one category.
    Category(Id),
}

impl Retention {
    /// How long files of this camera and category are kept.
    pub fn period(&self, camera: Option<&Id>, category: Option<&Id>) -> Period {
        let said = [
            camera.and_then(|camera| self.cameras.get(camera)),
            category.and_then(|category| self.categories.get(category)),
        ];
        let said = said.into_iter().flatten();
        let at_least = said.clone().filter_map(|spec| spec.keep_at_least.0).map(|span| span.0).max();
        let at_most = said.filter_map(|spec| spec.keep.0).map(|span| span.0).min();
        let at_least = at_least.unwrap_or(self.default.at_least);
        Period { at_least, at_most: at_most.unwrap_or(self.default.at_most).max(at_least) }
    }

    /// The groups that files of this camera and category count towards, with the most bytes of each.
    pub fn quotas(&self, camera: Option<&Id>, category: Option<&Id>) -> Vec<(Group, u64)> {
        let mut quotas = vec![(Group::All, self.quota)];
        let quota = |of: &HashMap<Id, RetentionSpec>, id: &Id| of.get(id).and_then(|spec| spec.quota.0);
        if let Some((camera, quota)) = camera.and_then(|id| Some((id, quota(&self.cameras, id)?))) {
            quotas.push((Group::Camera(camera.clone()), quota.0));
        }
        if let Some((category, quota)) = category.and_then(|id| Some((id, quota(&self.categories, id)?))) {
            quotas.push((Group::Category(category.clone()), quota.0));
        }
        quotas
    }

    /// Every group that has a quota, with the most bytes of it.
    pub fn all_quotas(&self) -> Vec<(Group, u64)> {
        let quota = |spec: &RetentionSpec| spec.quota.0.map(|quota| quota.0);
        let cameras = self.cameras.iter().filter_map(|(id, spec)| Some((Group::Camera(id.clone()), quota(spec)?)));
        let categories =
            self.categories.iter().filter_map(|(id, spec)| Some((Group::Category(id.clone()), quota(spec)?)));
        [(Group::All, self.quota)].into_iter().chain(cameras).chain(categories).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec() -> impl Strategy<Value = RetentionSpec> {
        let span =
            || prop::option::of(0u64..100).prop_map(|days| Maybe(days.map(|days| TimeSpan::secs(days * 86_400))));
        (span(), span(), prop::option::of(1u64..100)).prop_map(|(keep_at_least, keep, quota)| RetentionSpec {
            keep_at_least,
            keep,
            quota: Maybe(quota.map(ByteSize)),
        })
    }

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    proptest! {
        #[test]
        fn every_minimum_is_kept_and_no_maximum_passed_but_for_a_minimum(camera in spec(), category in spec()) {
            let default = Period { at_least: Duration::from_secs(3 * 86_400), at_most: Duration::from_secs(30 * 86_400) };
            let retention = Retention {
                default,
                quota: 1000,
                cameras: HashMap::from([(id("gate"), camera.clone())]),
                categories: HashMap::from([(id("fire"), category.clone())]),
            };
            let period = retention.period(Some(&id("gate")), Some(&id("fire")));
            let minima: Vec<_> = [&camera, &category].iter().filter_map(|spec| spec.keep_at_least.0).collect();
            for minimum in &minima {
                prop_assert!(period.at_least >= minimum.0);
            }
            for maximum in [&camera, &category].iter().filter_map(|spec| spec.keep.0) {
                prop_assert!(period.at_most <= maximum.0.max(period.at_least));
            }
            prop_assert!(period.at_least <= period.at_most);
            prop_assert_eq!(retention.period(Some(&id("yard")), None), default);

            let quotas = retention.quotas(Some(&id("gate")), Some(&id("fire")));
            let own = [&camera, &category].iter().filter(|spec| spec.quota.0.is_some()).count();
            prop_assert_eq!(quotas.len(), 1 + own);
            prop_assert_eq!(retention.all_quotas().len(), 1 + own);
            prop_assert_eq!(retention.quotas(Some(&id("yard")), Some(&id("flood"))), vec![(Group::All, 1000)]);
        }
    }
}
