//! Nothing can be altered, taken away or added without `prove` naming it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use openssl::pkey::PKey;
use snowgate::{
    evidence::{
        access_log::{self, AccessLog, Action, Head},
        export::{ExportError, Person, export},
        files::{EvidenceFiles, FileName, Keeping, NewFile},
        proof::{Order, Proof, prove, prove_exported},
    },
    signing::{PublicKey, SigningKey},
};
use snowgate_core::{
    ids::IncidentId,
    incidents::Evidence,
    time::{BootId, Moment, Stamp},
};

use crate::support::{keeping, now, provenance};

/// A box with two incidents, of which the second has two stills.
struct Bench {
    home: tempfile::TempDir,
    key: SigningKey,
    files: EvidenceFiles,
    named: HashMap<IncidentId, Vec<Evidence>>,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let pem = PKey::generate_ed25519().unwrap().private_key_to_pem_pkcs8().unwrap();
        let key = SigningKey::from_pem(&pem).unwrap();
        let keeping = Keeping { key: Some(key.clone()), ..keeping(home.path()) };
        let files = EvidenceFiles::open(&home.path().join("evidence"), keeping).unwrap();
        let mut named: HashMap<_, Vec<_>> = HashMap::new();
        let again = FileName::of_verification(&"v-1".parse().unwrap());
        for (number, name, contents) in
            [(1, FileName::STILL, "one"), (2, FileName::STILL, "two"), (2, again, "two again")]
        {
            let of = provenance(number);
            let file =
                NewFile { name, camera: "gate".parse().unwrap(), media_type: "image/jpeg", taken: now(), sealed: None };
            let evidence = files.write(&of, file, contents.as_bytes(), now()).unwrap();
            named.entry(of.incident).or_default().push(evidence);
        }
        Self { home, key, files, named }
    }

    fn public(&self) -> PublicKey {
        self.key.public().unwrap()
    }

    fn prove(&self) -> Proof {
        self.prove_with(None)
    }

    fn prove_with(&self, head: Option<&Head>) -> Proof {
        let (key, named) = (self.public(), Some(self.named.clone()));
        prove(&Order { data: self.home.path(), only: &[], key: Some(&key), head, named }).unwrap()
    }

    fn folder(&self, number: u128) -> PathBuf {
        self.home.path().join("evidence").join(provenance(number).incident.to_string())
    }

    fn later(&self) -> Moment {
        let wall = now().wall + Duration::from_secs(2 * 86_400);
        Moment { wall, ..now() }
    }
}

/// What is wrong, in words.
fn wrong(proof: &Proof) -> Vec<String> {
    proof.findings.iter().map(ToString::to_string).collect()
}

fn person() -> Person {
    Person { by: "Li".into(), unit: "police".into(), reason: "case 218".into(), account: None }
}

fn stamp() -> Stamp {
    Stamp { boot: BootId("boot".into()), moment: now() }
}

#[test]
fn what_nobody_has_touched_is_whole() {
    let bench = Bench::new();
    let proof = bench.prove();
    assert_eq!(wrong(&proof), Vec::<String>::new());
    assert_eq!((proof.incidents, proof.files, proof.bytes, proof.deleted), (2, 3, 15, 0));
    // What the box deletes by itself is accounted for, to the last file.
    bench.files.sweep(bench.later());
    let proof = bench.prove();
    assert_eq!((wrong(&proof), proof.files, proof.deleted), (Vec::new(), 0, 3));
}

#[test]
fn a_bit_flipped_anywhere_is_found() {
    let bench = Bench::new();
    let (folder, mut flips) = (bench.folder(2), 0);
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, flipped).unwrap();
            assert!(!bench.prove().findings.is_empty(), "{}, byte {at}", path.display());
            flips += 1;
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(flips > 500, "{flips}");
    assert_eq!(wrong(&bench.prove()), Vec::<String>::new());
}

#[test]
fn what_is_taken_away_or_added_is_named() {
    let bench = Bench::new();
    let incident = provenance(2).incident;
    let still = bench.folder(2).join("still.jpg");
    fs::remove_file(&still).unwrap();
    assert_eq!(wrong(&bench.prove()), [format!("{incident}/still.jpg: it is missing, and no deletion is recorded")]);
    fs::write(&still, "two").unwrap();
    fs::write(bench.folder(2).join("other.jpg"), "other").unwrap();
    assert_eq!(wrong(&bench.prove()), [format!("{incident}/other.jpg: it is there, and no manifest speaks of it")]);
    fs::remove_file(bench.folder(2).join("other.jpg")).unwrap();

    // The whole folder, or its manifest: the incident still names what was there.
    let aside = bench.home.path().join("aside");
    fs::rename(bench.folder(2), &aside).unwrap();
    assert_eq!(bench.prove().findings.len(), 2);
    fs::rename(&aside, bench.folder(2)).unwrap();
    fs::remove_file(bench.folder(2).join("manifest.jsonl")).unwrap();
    assert!(wrong(&bench.prove()).contains(&format!("{incident}: there is no manifest")));
}

#[test]
fn a_manifest_cannot_be_swapped() {
    let bench = Bench::new();
    for name in ["still.jpg", "manifest.jsonl"] {
        fs::copy(bench.folder(1).join(name), bench.folder(2).join(name)).unwrap();
    }
    let found = wrong(&bench.prove()).join("\n");
    assert!(found.contains("its manifest is that of incident"), "{found}");
    // Nor can a forger without the key make one that fits: a file altered, and listed anew.
    let bench = Bench::new();
    let other = SigningKey::from_pem(&PKey::generate_ed25519().unwrap().private_key_to_pem_pkcs8().unwrap()).unwrap();
    let forged = Keeping { key: Some(other), ..keeping(bench.home.path()) };
    let files = EvidenceFiles::open(&bench.home.path().join("evidence"), forged).unwrap();
    let file = NewFile {
        name: FileName::STILL,
        camera: "gate".parse().unwrap(),
        media_type: "image/jpeg",
        taken: now(),
        sealed: None,
    };
    files.write(&provenance(1), file, b"forged", now()).unwrap();
    let found = wrong(&bench.prove()).join("\n");
    assert!(found.contains("its signature is not by the gateway's key"), "{found}");
    assert!(found.contains("the incident names it with SHA-256"), "{found}");
}

#[test]
fn a_line_taken_out_of_the_access_log_is_found() {
    let bench = Bench::new();
    let log = AccessLog::open(bench.home.path()).unwrap();
    for reason in ["first", "second", "third"] {
        let person = Person { reason: reason.into(), ..person() };
        log.write(&person.access(Action::Export, None, Some("no".into())), &stamp()).unwrap();
    }
    let published = log.publish().unwrap();
    assert_eq!(wrong(&bench.prove_with(Some(&published))), Vec::<String>::new());
    let path = bench.home.path().join("access.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    for left_out in 0..3 {
        let lines = whole.split_inclusive('\n').enumerate().filter(|(line, _)| *line != left_out);
        fs::write(&path, lines.map(|(_, line)| line).collect::<String>()).unwrap();
        // The last one is missed because it was published; on the box or to the grid system.
        assert!(!bench.prove().findings.is_empty(), "line {left_out}");
        fs::remove_file(bench.home.path().join("access.head")).unwrap();
        assert!(!bench.prove_with(Some(&published)).findings.is_empty(), "line {left_out}, by what was published");
        fs::write(bench.home.path().join("access.head"), serde_json::to_vec(&published).unwrap()).unwrap();
    }
}

/// Every file below a directory, by its path in it.
fn contents(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_leaves_the_box_is_logged_first_and_proves_itself() {
    let bench = Bench::new();
    let (to, incident) = (tempfile::tempdir().unwrap(), provenance(2).incident);
    let log = AccessLog::open(bench.home.path()).unwrap();
    let exported = export(bench.home.path(), incident, to.path(), &person(), &log, stamp).unwrap();
    assert_eq!(contents(&exported.folder).len(), 3);
    assert_eq!(contents(to.path()), [incident.to_string()]);
    let key = bench.public();
    let proof = prove_exported(to.path(), Some(&key)).unwrap();
    assert_eq!((wrong(&proof), proof.files), (Vec::new(), 2));
    fs::write(exported.folder.join("still.jpg"), "forged").unwrap();
    assert_eq!(prove_exported(to.path(), Some(&key)).unwrap().findings.len(), 1);

    // Refused, and logged: it is there already; there is none; it is not what it was.
    let again = |number| export(bench.home.path(), provenance(number).incident, to.path(), &person(), &log, stamp);
    assert!(matches!(again(2), Err(ExportError::Exists(_))));
    assert!(matches!(again(3), Err(ExportError::NoEvidence(_))));
    fs::write(bench.folder(1).join("still.jpg"), "forged").unwrap();
    assert!(matches!(again(1), Err(ExportError::Altered { .. })));
    assert_eq!(contents(to.path()), [incident.to_string()]);
    let mut entries = Vec::new();
    access_log::read_all(bench.home.path(), |_, entry| entries.push(entry.access.clone())).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.granted).collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(entries[0].files, exported.files);
    assert!(entries.iter().all(|entry| (entry.by.as_str(), entry.unit.as_deref()) == ("Li", Some("police"))));
    assert!(entries[3].refusal.as_ref().unwrap().contains("altered"));
}
