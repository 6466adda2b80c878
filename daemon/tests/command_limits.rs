//! What a command can cost: no payload makes the reader panic or allocate a multiple of its size, and what it takes for a
//! command it can write and read again.

#![allow(clippy::unwrap_used, reason = "tests may say what they expect")]

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use snowgate_core::incidents::{
    command::{MAX_COMMAND_BYTES, read, read_id},
    disposition::{self, Disposition},
    verify::{self, Verify},
};
use snowgate_simulators::{
    allocations::{Counting, cost},
    noise::{Noise, inputs},
};

/// No single allocation is larger: a text with escapes is unescaped into a buffer that doubles as it grows, and so is an error
/// that quotes it.
const LARGEST: usize = 3 * MAX_COMMAND_BYTES;
/// No more is held at once while a command is read, and the answer to what is none: a text unescaped, which doubles as it grows,
/// and an error that quotes it.
const HELD: usize = 6 * MAX_COMMAND_BYTES;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Commands of every kind, as large as they may be and larger.
fn commands() -> Vec<Vec<u8>> {
    let note = "\\u5f20".repeat(500);
    let mut all = Vec::new();
    for stage in ["accepted", "handled", "rejected_false_alarm", "suspended", "extended"] {
        let mut command = json!({
            "id": "c-1", "incident": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "stage": stage, "by": "李",
            "at": "2026-03-02T09:00:00+08:00", "expires": "2026-03-03T09:00:00+08:00", "for_seconds": 30,
        });
        all.push(command.to_string().into_bytes());
        if stage != "extended" {
            command.as_object_mut().unwrap().remove("for_seconds");
        }
        command["reason"] = "核查".into();
        all.push(command.to_string().into_bytes());
        all.push(command.to_string().replace("\"by\"", &format!("\"note\":\"{note}\",\"by\"")).into_bytes());
        command["unknown"] = json!([{ "deep": [[[[]]]], "long": "x".repeat(15_000) }]);
        all.push(command.to_string().into_bytes());
    }
    all.push(format!("{{ \"id\": \"c-1\", \"by\": {}", "[".repeat(16_000)).into_bytes());
    all.push(vec![b'"'; MAX_COMMAND_BYTES + 1]);
    all
}

/// Reads a payload as a command; whether it was one.
fn is_read<C: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(payload: &[u8]) -> bool {
    let Ok(command) = read::<C>(payload) else { return false };
    let again = serde_json::to_vec(&command).unwrap();
    assert_eq!(read::<C>(&again).unwrap(), command);
    true
}

#[test]
fn mutated_commands_are_read_or_refused() {
    let (valid, mut noise) = (commands(), Noise::new(0x0063_6f6d_6d61_6e64));
    let (mut most_held, mut largest, mut taken) = (0, 0, 0);
    for number in 0..inputs() {
        let mut payload = valid[number % valid.len()].clone();
        for _ in 0..noise.below(4) {
            noise.spoil(&mut payload, &valid);
        }
        let (_, held, one) = cost(|| (read::<Disposition>(&payload), read::<Verify>(&payload), read_id(&payload)));
        assert!(held <= HELD && one <= LARGEST, "{held} and {one} bytes for payload {number}");
        (most_held, largest) = (most_held.max(held), largest.max(one));
        taken += usize::from(is_read::<Disposition>(&payload)) + usize::from(is_read::<Verify>(&payload));
        for answer in [
            read::<Disposition>(&payload)
                .err()
                .map(|it| serde_json::to_vec(&disposition::answer_malformed(it)).unwrap()),
            read::<Verify>(&payload).err().map(|it| serde_json::to_vec(&verify::answer_malformed(it)).unwrap()),
        ] {
            // 200 characters of up to six bytes each where they are escaped, and the id.
            assert!(answer.is_none_or(|answer| answer.len() < 2_000));
        }
    }
    println!("{} payloads, {taken} of them commands: {most_held} bytes held, {largest} in one allocation", inputs());
    assert!(taken > inputs() / 10, "{taken}: most are no commands any more");
}
