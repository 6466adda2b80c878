//! docs/MESSAGES.md: every JSON in it is what the gateway's own code says, or takes.
//!
//! A block belongs to the topic that was named last before it. A ```` ```json ```` block is a whole message; a
//! ```` ```json excerpt ```` block is a part of one: every key that it shows is there with this value. The blocks of the worked
//! loop come in the order in which they are said.

use std::fs;

use serde_json::Value;
use snowgate::messages::Example;
use snowgate_tests::{
    contract::{channel_of, check},
    repository,
};

use crate::scenes;

/// A block of JSON.
struct Block {
    line: usize,
    section: String,
    channel: &'static str,
    whole: bool,
    json: Value,
}

fn blocks() -> Vec<Block> {
    let text = fs::read_to_string(repository().join("docs/MESSAGES.md")).unwrap();
    let (mut blocks, mut section, mut topic) = (Vec::new(), String::new(), None);
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let line_number = number + 1;
        if let Some(title) = line.strip_prefix("## ") {
            section = title.to_owned();
        } else if let Some(info) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let whole = match info {
                "json" => true,
                "json excerpt" => false,
                other => panic!("line {line_number}: a block of {other:?}"),
            };
            let json = serde_json::from_str(&body.join("\n")).unwrap_or_else(|e| panic!("line {line_number}: {e}"));
            let channel = topic.unwrap_or_else(|| panic!("line {line_number}: no topic is named before it"));
            blocks.push(Block { line: line_number, section: section.clone(), channel, whole, json });
        } else {
            for code in line.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("…/")) {
                let known = channel_of(&format!("snowgate/v1/gateway/{code}"));
                topic = known.map(|(channel, _)| channel.name).or(topic);
            }
        }
    }
    blocks
}

fn is_part_of(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| is_part_of(part, whole)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_part_of(part, whole))
        }
        _ => part == whole,
    }
}

fn shows(block: &Block, said: &Example) -> bool {
    let channel = channel_of(&said.topic).map(|(channel, _)| channel.name);
    let same = if block.whole { block.json == said.payload } else { is_part_of(&block.json, &said.payload) };
    channel == Some(block.channel) && same
}

#[test]
fn every_json_in_the_document_is_what_the_code_says() {
    let (all, blocks) = (scenes::all(), blocks());
    assert!(blocks.len() > 30, "the document was not read");
    let mut wrong = Vec::new();
    for block in &blocks {
        match all.iter().find(|said| shows(block, said)) {
            Some(said) if block.whole => check(&said.topic, block.json.to_string().as_bytes()).unwrap(),
            Some(_) => {}
            None => wrong.push(format!("line {}, of {}: {}", block.line, block.channel, block.json)),
        }
    }
    assert!(wrong.is_empty(), "nothing like this is ever said:\n{}", wrong.join("\n"));
}

#[test]
fn the_worked_loop_is_told_in_the_order_in_which_it_happens() {
    let said = scenes::worked_loop();
    let mut rest = said.iter();
    let blocks = blocks();
    let told: Vec<_> = blocks.iter().filter(|block| block.section.starts_with("A worked loop")).collect();
    assert!(told.len() > 15, "the loop was not found");
    for block in told {
        assert!(rest.any(|said| shows(block, said)), "line {}: this does not follow", block.line);
    }
    assert_eq!(rest.next().map(|said| said.payload["id"].clone()), None, "the end of the loop is missing");
}
