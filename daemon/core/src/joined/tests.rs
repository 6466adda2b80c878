use std::time::Duration;

use proptest::prelude::*;
use ulid::Ulid;

use super::*;
use crate::spec::read_table;

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn at(seconds: u64) -> Mono {
    Mono(0) + Duration::from_secs(seconds)
}

fn camera(name: &str) -> RuleOf {
    RuleOf { device: Device::Camera(id(name)), rule: id("people") }
}

fn sensor(name: &str) -> RuleOf {
    RuleOf { device: Device::Sensor(id(name)), rule: id("alarm") }
}

/// In grid 1, at the equator, so many metres east of the meridian.
fn standing(to: RuleOf, metres: f64) -> Listened {
    let place = Some(Place { lat: 0.0, lon: metres / 111_195.0, name: None });
    Listened { to, grid: "1".to_owned(), place }
}

/// A rule that is told these keys, and joins these inputs.
fn wiring(keys: &str, inputs: Vec<Vec<Listened>>) -> Wiring {
    let tables = "[[inputs]]\nrule = 'r'\n".repeat(inputs.len());
    let text = format!("id = 'joined'\n{keys}\n{tables}");
    let spec = read_table(&mut toml_span::parse(&text).unwrap()).unwrap();
    Wiring { spec, inputs }
}

/// An input for each of these rules.
fn one_each(rules: impl IntoIterator<Item = RuleOf>) -> Vec<Vec<Listened>> {
    rules.into_iter().map(|rule| vec![standing(rule, 0.0)]).collect()
}

/// Joined rules, and what they have told.
struct Bench {
    rules: JoinedRules,
    told: Vec<Coincidence>,
}

impl Bench {
    fn new(keys: &str, inputs: Vec<Vec<Listened>>) -> Self {
        let rules = JoinedRules::new([wiring(keys, inputs)], &Schedules::new()).unwrap();
        Self { rules, told: Vec::new() }
    }

    fn hear(&mut self, by: RuleOf, change: Change, episode: u64, seconds: u64) {
        // An incident for each episode of each rule.
        let number = by.rule.as_str().len() as u64 * 1_000 + episode;
        let incident = IncidentId(Ulid::from_parts(seconds, u128::from(number)));
        let told = Told { by, episode, change, at: at(seconds), incident };
        self.rules.hear(&told, &mut self.told);
    }

    fn begins(&mut self, by: RuleOf, seconds: u64) {
        self.hear(by, Change::Began, 1, seconds);
    }

    fn ends(&mut self, by: RuleOf, seconds: u64) {
        self.hear(by, Change::Ended, 1, seconds);
    }

    fn tick(&mut self, seconds: u64) {
        self.rules.tick(at(seconds), &mut self.told);
    }

    /// What was told since it was asked last: what happened, to which episode, and when.
    fn news(&mut self) -> Vec<(Change, u64, Mono)> {
        self.told.drain(..).map(|it| (it.change, it.episode, it.at)).collect()
    }
}

#[test]
fn water_and_people_make_one_incident_that_names_both_and_ends() {
    let (water, people) = (sensor("level"), camera("bank"));
    let mut bench =
        Bench::new("when = 'all'\nwithin = '30s'\nlinger = '10s'", one_each([water.clone(), people.clone()]));
    bench.begins(water.clone(), 100);
    bench.tick(5_000);
    assert_eq!(bench.news(), [], "one alone is not enough, however long it goes on");
    bench.begins(people.clone(), 5_001);
    let began = bench.told.pop().unwrap();
    assert_eq!((began.change, began.episode, began.since, began.last_seen), (Change::Began, 1, at(5_001), at(5_001)));
    assert_eq!(began.completed_by.to, people);
    let by: Vec<RuleOf> = began.joins.iter().map(|(_, by)| by.clone()).collect();
    assert_eq!(by, [water, people.clone()]);

    bench.ends(people, 5_100);
    bench.tick(5_130);
    assert_eq!(bench.news(), [], "what has ended counts for a while");
    bench.tick(5_131);
    bench.tick(5_140);
    assert_eq!(bench.news(), [], "it is over, but not for long enough");
    bench.tick(5_141);
    let ended = bench.told.pop().unwrap();
    assert_eq!((ended.change, ended.last_seen, ended.joins), (Change::Ended, at(5_130), began.joins));
    bench.tick(9_000);
    assert_eq!(bench.news(), [], "it is told once");
}

#[test]
fn what_ended_within_the_while_counts_and_what_ended_before_does_not() {
    let (smoke, people) = (sensor("smoke"), camera("hall"));
    for (later, met) in [(60, true), (61, false)] {
        let mut bench = Bench::new("when = 'all'\nwithin = '1m'", one_each([smoke.clone(), people.clone()]));
        bench.begins(smoke.clone(), 10);
        bench.ends(smoke.clone(), 20);
        bench.begins(people.clone(), 20 + later);
        assert_eq!(!bench.news().is_empty(), met, "{later} s after the end");
    }
}

#[test]
fn a_sequence_takes_its_order_from_beginnings() {
    let (first, second) = (camera("in"), camera("out"));
    let bench = || Bench::new("when = 'sequence'\nwithin = '1m'", one_each([first.clone(), second.clone()]));
    let mut wrong = bench();
    wrong.begins(second.clone(), 10);
    wrong.begins(first.clone(), 11);
    assert_eq!(wrong.news(), []);
    // The second one again.
    wrong.hear(second.clone(), Change::Began, 2, 12);
    assert_eq!(wrong.news(), [(Change::Began, 1, at(12))]);
    let mut right = bench();
    right.begins(first.clone(), 10);
    right.ends(first.clone(), 11);
    right.begins(second.clone(), 40);
    assert_eq!(right.news(), [(Change::Began, 1, at(40))]);
    // By then the first one has not been told of for too long.
    right.tick(72);
    assert_eq!(right.news(), [(Change::Ended, 1, at(72))]);
}

#[test]
fn each_grid_has_its_own_incident() {
    let inputs = |grid: &str, rule: RuleOf| Listened { grid: grid.to_owned(), ..standing(rule, 0.0) };
    let smoke = vec![inputs("1", sensor("s1")), inputs("2", sensor("s2"))];
    let people = vec![inputs("1", camera("c1")), inputs("2", camera("c2")), inputs("3", camera("c3"))];
    let mut bench = Bench::new("when = 'all'\nwithin = '1m'\nsame = 'grid'", vec![smoke, people]);
    bench.begins(sensor("s1"), 10);
    bench.begins(camera("c2"), 11);
    bench.begins(camera("c3"), 11);
    assert_eq!(bench.news(), [], "they are in different grids");
    bench.begins(camera("c1"), 12);
    assert_eq!(bench.told[0].completed_by.grid, "1");
    bench.begins(sensor("s2"), 13);
    assert_eq!(bench.told[1].completed_by.grid, "2");
    assert_eq!(bench.news(), [(Change::Began, 1, at(12)), (Change::Began, 2, at(13))]);
    bench.ends(sensor("s1"), 14);
    bench.tick(75);
    assert_eq!(bench.news(), [(Change::Ended, 1, at(75))], "the other one goes on");
}

#[test]
fn distance_ties_what_is_near_and_what_overlaps_is_one_incident() {
    let smoke = |metres: f64| standing(sensor(&format!("s{metres}")), metres);
    let people = |metres: f64| standing(camera(&format!("c{metres}")), metres);
    let nowhere = Listened { place: None, ..standing(camera("nowhere"), 0.0) };
    let inputs = vec![vec![smoke(0.0), smoke(300.0)], vec![people(150.0), people(450.0), people(900.0), nowhere]];
    let mut bench = Bench::new("when = 'all'\nwithin = '1m'\nwithin_metres = 200", inputs);
    bench.begins(sensor("s0"), 10);
    bench.begins(camera("c450"), 11);
    bench.begins(camera("c900"), 11);
    bench.begins(camera("nowhere"), 11);
    assert_eq!(bench.news(), [], "nothing is near the smoke");
    // Near both sensors: around it one group, around the second sensor another.
    bench.begins(camera("c150"), 12);
    assert_eq!(bench.news(), [(Change::Began, 1, at(12))]);
    // It is near the person that counts already; what is left, at 450 m, is another happening.
    bench.begins(sensor("s300"), 20);
    let grew = bench.told.pop().unwrap();
    assert_eq!((grew.change, grew.episode, grew.joins.len()), (Change::Grew, 1, 3));
    assert_eq!(bench.news(), []);
}

#[test]
fn growth_is_told_together() {
    let rules = [camera("a"), camera("b"), camera("c"), camera("d")];
    let mut bench = Bench::new("when = 'at_least'\ncount = 2\nwithin = '1m'", one_each(rules.clone()));
    for (second, rule) in rules.into_iter().enumerate() {
        bench.begins(rule, second as u64);
    }
    assert_eq!(bench.news(), [(Change::Began, 1, at(1))]);
    bench.tick(6);
    let grew = bench.told.pop().unwrap();
    assert_eq!((grew.change, grew.at, grew.joins.len()), (Change::Grew, at(6), 4));
    bench.tick(60);
    assert_eq!(bench.news(), [], "nothing was new");
}

#[test]
fn cool_down_keeps_one_incident() {
    let (one, other) = (sensor("one"), sensor("other"));
    let inputs = one_each([one.clone(), other.clone()]);
    let mut bench = Bench::new("when = 'all'\nwithin = '0s'\ncool_down = '1m'", inputs);
    bench.begins(one.clone(), 0);
    for second in [0, 10, 20] {
        bench.hear(other.clone(), Change::Began, second, second);
        bench.hear(other.clone(), Change::Ended, second, second + 2);
    }
    bench.tick(59);
    let all = bench.news();
    assert_eq!(all[0], (Change::Began, 1, at(0)));
    assert!(all[1..].iter().all(|(change, ..)| *change == Change::Grew), "{all:?}");
    bench.tick(60);
    assert_eq!(bench.news(), [(Change::Ended, 1, at(60))]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let (busy, other) = (camera("busy"), camera("other"));
    let mut bench = Bench::new("when = 'all'\nwithin = '1h'", one_each([busy.clone(), other.clone()]));
    for episode in 0..10_000 {
        bench.hear(busy.clone(), Change::Began, episode, episode);
        if episode % 3 > 0 {
            bench.hear(busy.clone(), Change::Ended, episode, episode);
        }
    }
    bench.begins(other, 10_000);
    assert_eq!(bench.told.len(), 1);
    assert_eq!(bench.told[0].joins.len(), REMEMBERED + 1);
}

#[test]
fn a_rule_that_stays_the_same_goes_on_and_another_ends() {
    let inputs = || one_each([sensor("one"), sensor("other")]);
    let keys = "when = 'all'\nwithin = '1m'";
    let rules = |keys: &str| JoinedRules::new([wiring(keys, inputs())], &Schedules::new()).unwrap();
    let mut bench = Bench::new(keys, inputs());
    bench.begins(sensor("one"), 10);
    bench.rules.replace(rules(keys), &mut bench.told);
    bench.begins(sensor("other"), 20);
    assert_eq!(bench.news(), [(Change::Began, 1, at(20))]);
    bench.rules.replace(rules(keys), &mut bench.told);
    assert_eq!(bench.news(), []);
    bench.rules.replace(rules("when = 'any'\nwithin = '1m'"), &mut bench.told);
    assert_eq!(bench.news(), [(Change::Ended, 1, at(20))]);
    bench.begins(sensor("one"), 30);
    assert_eq!(bench.news(), [(Change::Began, 2, at(30))], "no number comes twice");
    bench.rules.replace(JoinedRules::default(), &mut bench.told);
    assert_eq!(bench.news(), [(Change::Ended, 2, at(30))]);
}

#[test]
fn a_distance_is_that_along_a_great_circle() {
    let at = |lat, lon| Place { lat, lon, name: None };
    // A quarter of the way round, by way of the pole and along the equator.
    let quarter = 10_007_557.0;
    for (from, to) in
        [(at(0.0, 30.0), at(90.0, -100.0)), (at(0.0, 10.0), at(0.0, 100.0)), (at(45.0, 0.0), at(45.0, 180.0))]
    {
        assert!((from.metres_to(&to) - quarter).abs() < 1.0, "{}", from.metres_to(&to));
        assert!((from.metres_to(&to) - to.metres_to(&from)).abs() < 1e-6);
    }
    // Over the date line, and nowhere at all.
    assert!((at(0.0, 179.999).metres_to(&at(0.0, -179.999)) - 222.39).abs() < 0.01);
    assert!(at(29.5, 119.3).metres_to(&at(29.5, 119.3)) < 1e-6);
}

#[test]
fn a_condition_that_nowhere_can_hold_is_known() {
    let apart = || vec![vec![standing(sensor("here"), 0.0)], vec![standing(camera("there"), 5_000.0)]];
    assert!(wiring("when = 'all'\nwithin = '1m'", apart()).can_be_met());
    assert!(!wiring("when = 'all'\nwithin = '1m'\nwithin_metres = 4000", apart()).can_be_met());
    assert!(wiring("when = 'any'\nwithin = '1m'\nwithin_metres = 4000", apart()).can_be_met());
    assert!(!wiring("when = 'any'\nwithin = '1m'", vec![Vec::new(), Vec::new()]).can_be_met());
}

/// What a rule tells: which of a few, whether it begins or ends, and how many seconds after what was told before.
type Story = Vec<(usize, bool, u64)>;

const TELLERS: usize = 4;

fn story() -> impl Strategy<Value = Story> {
    prop::collection::vec((0..TELLERS, any::<bool>(), 0_u64..40), 1..24)
}

/// Whether an episode is open after each part of a story and after each second between them.
fn open_over_time(keys: &str, story: &Story) -> Vec<bool> {
    let rules: Vec<RuleOf> = (0..TELLERS).map(|number| camera(&format!("c{number}"))).collect();
    let mut bench = Bench::new(keys, one_each(rules.clone()));
    let (mut now, mut open, mut line) = (0, 0_i32, Vec::new());
    let mut begun = [0_u64; TELLERS];
    for &(teller, begins, later) in story {
        for _ in 0..later {
            now += 1;
            bench.tick(now);
            open += balance(&mut bench);
            line.push(open > 0);
        }
        let change = if begins { Change::Began } else { Change::Ended };
        begun[teller] += u64::from(begins);
        bench.hear(rules[teller].clone(), change, begun[teller], now);
        open += balance(&mut bench);
        assert!((0..=1).contains(&open), "one place, one incident");
        line.push(open > 0);
    }
    line
}

/// Episodes begun less episodes ended.
fn balance(bench: &mut Bench) -> i32 {
    let count = |change| match change {
        Change::Began => 1,
        Change::Grew => 0,
        Change::Ended => -1,
    };
    bench.told.drain(..).map(|told| count(told.change)).sum()
}

fn implies(premise: &[bool], conclusion: &[bool]) -> bool {
    premise.len() == conclusion.len() && premise.iter().zip(conclusion).all(|(premise, then)| !premise || *then)
}

proptest! {
    #[test]
    fn a_longer_while_never_holds_less(story in story(), within in 0_u64..120, more in 0_u64..120, count in 1..=TELLERS) {
        for when in [format!("when = 'at_least'\ncount = {count}"), "when = 'sequence'".to_owned()] {
            let open = |within: u64| open_over_time(&format!("{when}\nwithin = '{within}s'"), &story);
            prop_assert!(implies(&open(within), &open(within + more)), "{}", when);
        }
    }

    #[test]
    fn the_kinds_are_ordered_as_their_names_say(story in story(), within in 0_u64..120) {
        let open = |when: &str| open_over_time(&format!("when = {when}\nwithin = '{within}s'"), &story);
        let at_least = |count: usize| open(&format!("'at_least'\ncount = {count}"));
        prop_assert_eq!(open("'any'"), at_least(1));
        prop_assert_eq!(open("'all'"), at_least(TELLERS));
        for count in 1..TELLERS {
            prop_assert!(implies(&at_least(count + 1), &at_least(count)));
        }
        prop_assert!(implies(&open("'sequence'"), &open("'all'")));
    }

    #[test]
    fn all_does_not_depend_on_who_tells_what_nor_on_the_order_of_inputs(story in story(), within in 0_u64..120, turn in 1..TELLERS) {
        let turned: Story = story.iter().map(|&(teller, begins, later)| ((teller + turn) % TELLERS, begins, later)).collect();
        for when in ["'all'", "'at_least'\ncount = 2"] {
            let keys = format!("when = {when}\nwithin = '{within}s'");
            prop_assert_eq!(open_over_time(&keys, &story), open_over_time(&keys, &turned));
        }
    }

    #[test]
    fn what_is_told_at_one_time_may_be_told_in_any_order(order in Just((0..TELLERS).collect::<Vec<_>>()).prop_shuffle()) {
        let rules: Vec<RuleOf> = order.iter().map(|number| camera(&format!("c{number}"))).collect();
        let all = (0..TELLERS).map(|number| camera(&format!("c{number}")));
        let mut bench = Bench::new("when = 'all'\nwithin = '0s'", one_each(all));
        rules.into_iter().for_each(|rule| bench.begins(rule, 7));
        prop_assert_eq!(bench.told.len(), 1);
        let mut named: Vec<RuleOf> = bench.told[0].joins.iter().map(|(_, by)| by.clone()).collect();
        named.sort();
        prop_assert_eq!(named.len(), TELLERS);
        named.dedup();
        prop_assert_eq!(named.len(), TELLERS);
    }

    #[test]
    fn whatever_is_told_episodes_begin_once_and_end_once(
        story in story(),
        metres in prop::collection::vec(0.0..600.0, TELLERS),
        seconds in 0_u64..60,
    ) {
        let inputs = metres.iter().enumerate().map(|(number, metres)| vec![standing(camera(&format!("c{number}")), *metres)]);
        let keys = format!("when = 'at_least'\ncount = 2\nwithin = '{seconds}s'\nlinger = '5s'\nwithin_metres = 200");
        let mut bench = Bench::new(&keys, inputs.collect());
        let mut now = 0;
        for (episode, (teller, begins, later)) in story.into_iter().enumerate() {
            now += later;
            let change = if begins { Change::Began } else { Change::Ended };
            let episode = if begins { episode } else { episode.saturating_sub(1) };
            bench.hear(camera(&format!("c{teller}")), change, episode as u64, now);
        }
        let told = std::mem::take(&mut bench.told);
        let mut open = BTreeMap::new();
        for coincidence in told {
            match coincidence.change {
                Change::Began => {
                    prop_assert!(coincidence.joins.len() >= 2);
                    prop_assert!(open.insert(coincidence.episode, coincidence.joins).is_none());
                }
                Change::Grew => prop_assert!(open.get(&coincidence.episode).is_some_and(|before| coincidence.joins.starts_with(before))),
                Change::Ended => prop_assert!(open.remove(&coincidence.episode).is_some_and(|before| coincidence.joins.starts_with(&before))),
            }
        }
    }
}
