use futures_util::FutureExt as _;

use super::*;

fn cheap() -> HashSettings {
    HashSettings {
        memory_kib: 64,
        iterations: 2,
        parallelism: 1,
        permits: 1,
        queue: 2,
    }
}

fn hasher(settings: &HashSettings) -> PasswordHasher {
    PasswordHasher::new(settings, Random::default()).unwrap()
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

const MATCH: Verdict = Verdict::Match { rehash: false };
const WEAK_MATCH: Verdict = Verdict::Match { rehash: true };

#[tokio::test]
async fn a_hash_verifies_its_password_only() {
    let hasher = hasher(&HashSettings::default());
    let stored = hasher.hash(secret("pässword")).await.unwrap();
    assert!(
        stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{stored}"
    );
    assert_eq!(
        hasher.verify(secret("pässword"), &stored).await.unwrap(),
        MATCH
    );
    for wrong in ["passwort", "", "pässword ", "pässwor"] {
        let verdict = hasher.verify(secret(wrong), &stored).await.unwrap();
        assert_eq!(verdict, Verdict::NoMatch);
    }
    assert_ne!(stored, hasher.hash(secret("pässword")).await.unwrap());
}

#[tokio::test]
async fn reused_and_wiped_memory_changes_no_hash() {
    for iterations in [1, 2] {
        let hasher = hasher(&HashSettings {
            iterations,
            ..cheap()
        });
        let first = hasher.hash(secret("a")).await.unwrap();
        for _ in 0..3 {
            assert_eq!(hasher.verify(secret("a"), &first).await.unwrap(), MATCH);
            assert_eq!(
                hasher.verify(secret("b"), &first).await.unwrap(),
                Verdict::NoMatch
            );
        }
        let areas = hasher.inner.areas.lock().unwrap();
        assert_eq!(areas.len(), 1);
        let wiped = areas[0]
            .iter()
            .all(|block| block.as_ref().iter().all(|word| *word == 0));
        assert_eq!(wiped, iterations == 1);
    }
}

#[tokio::test]
async fn the_reference_implementations_hash_is_understood() {
    let stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
        $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let hasher = hasher(&HashSettings::default());
    assert_eq!(
        hasher.verify(secret("password"), stored).await.unwrap(),
        MATCH
    );
    assert_eq!(
        hasher.verify(secret("Password"), stored).await.unwrap(),
        Verdict::NoMatch
    );
}

#[tokio::test]
async fn hashes_below_the_settings_are_to_be_renewed() {
    let weak = hasher(&cheap()).hash(secret("a")).await.unwrap();
    for stronger in [
        HashSettings {
            memory_kib: 128,
            ..cheap()
        },
        HashSettings {
            iterations: 3,
            ..cheap()
        },
        HashSettings {
            parallelism: 2,
            ..cheap()
        },
    ] {
        let verdict = hasher(&stronger).verify(secret("a"), &weak).await.unwrap();
        assert_eq!(verdict, WEAK_MATCH);
    }
    let weaker = hasher(&HashSettings {
        memory_kib: 32,
        ..cheap()
    });
    assert_eq!(weaker.verify(secret("a"), &weak).await.unwrap(), MATCH);
}

#[tokio::test]
async fn bcrypt_matches_and_is_to_be_renewed() {
    let hasher = hasher(&cheap());
    let tail = "05$HlFShUxTu4ZHHfOLJwfmCeDj/kuKFKboanXtDJXxCC7aIPTUgxNDe";
    for version in ["2a", "2b", "2y"] {
        let stored = format!("${version}${tail}");
        let right = hasher
            .verify(secret("My S3cre7 P@55w0rd!"), &stored)
            .await
            .unwrap();
        assert_eq!(right, WEAK_MATCH);
        let wrong = hasher
            .verify(secret("My S3cre7 P@55w0rd"), &stored)
            .await
            .unwrap();
        assert_eq!(wrong, Verdict::NoMatch);
    }
    let long = "a".repeat(72);
    let stored = bcrypt::hash(&long, 4).unwrap();
    let longer = hasher
        .verify(secret(&format!("{long}b")), &stored)
        .await
        .unwrap();
    assert_eq!(longer, WEAK_MATCH);
    let shorter = hasher.verify(secret(&long[1..]), &stored).await.unwrap();
    assert_eq!(shorter, Verdict::NoMatch);
}

#[tokio::test]
async fn anything_else_that_is_stored_never_matches() {
    let hasher = hasher(&cheap());
    for stored in [
        "",
        "password",
        "$1$salt$hash",
        "$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=16$m=64,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ",
        "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=64,t=4000000,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$2b$31$HlFShUxTu4ZHHfOLJwfmCeDj/kuKFKboanXtDJXxCC7aIPTUgxNDe",
        "$2b$05$short",
    ] {
        let verdict = hasher.verify(secret(stored), stored).await.unwrap();
        assert_eq!(verdict, Verdict::Unusable, "{stored}");
    }
}

#[tokio::test]
async fn a_missing_user_or_unusable_hash_costs_one_hash() {
    let missing = hasher(&cheap());
    missing.verify_dummy(secret("a")).await.unwrap();
    let unusable = hasher(&cheap());
    unusable.verify(secret("a"), "clear text").await.unwrap();
    for hasher in [missing, unusable] {
        let expected = HashStats {
            completed: 1,
            ..HashStats::default()
        };
        assert_eq!(hasher.stats(), expected);
        // Only argon2id leaves a work area behind.
        assert_eq!(hasher.inner.areas.lock().unwrap().len(), 1);
    }
}

/// Lets spawned tasks run until this many of them wait.
async fn until_queued(hasher: &PasswordHasher, count: usize) {
    for _ in 0..10_000 {
        if hasher.stats().queued == count {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{:?} instead of {count} waiting", hasher.stats());
}

#[tokio::test]
async fn a_full_queue_turns_callers_away_and_the_rest_is_served() {
    let hasher = hasher(&cheap());
    let held = Arc::clone(&hasher.inner.permits)
        .acquire_owned()
        .await
        .unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let hasher = hasher.clone();
            tokio::spawn(async move { hasher.hash(secret("a")).await })
        })
        .collect();
    until_queued(&hasher, 2).await;
    let refused = hasher.hash(secret("a")).now_or_never();
    let Some(Err(HashError::Busy { retry_after })) = refused else {
        panic!("{refused:?}");
    };
    assert!(retry_after >= Duration::from_secs(1));
    assert_eq!(
        hasher.stats(),
        HashStats {
            queued: 2,
            rejected: 1,
            ..HashStats::default()
        }
    );
    drop(held);
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    let done = HashStats {
        completed: 2,
        rejected: 1,
        ..HashStats::default()
    };
    assert_eq!(hasher.stats(), done);
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_the_queue() {
    let hasher = hasher(&cheap());
    let held = Arc::clone(&hasher.inner.permits)
        .acquire_owned()
        .await
        .unwrap();
    let task = tokio::spawn({
        let hasher = hasher.clone();
        async move { hasher.hash(secret("a")).await }
    });
    until_queued(&hasher, 1).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(hasher.stats().queued, 0);
    drop(held);
    hasher.hash(secret("a")).await.unwrap();
}

#[test]
fn impossible_settings_are_refused_at_the_start() {
    for settings in [
        HashSettings {
            memory_kib: 7,
            ..cheap()
        },
        HashSettings {
            iterations: 0,
            ..cheap()
        },
        HashSettings {
            parallelism: 0,
            ..cheap()
        },
    ] {
        let result = PasswordHasher::new(&settings, Random::default());
        assert!(matches!(result, Err(HashError::Settings(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn memory_is_given_back_when_nobody_hashes() {
    let hasher = hasher(&cheap());
    let kept = |hasher: &PasswordHasher| hasher.inner.areas().len();
    hasher.hash(secret("first")).await.unwrap();
    assert_eq!(kept(&hasher), 1);
    tokio::time::sleep(IDLE + Duration::from_millis(1)).await;
    hasher.hash(secret("second")).await.unwrap();
    tokio::time::sleep(IDLE).await;
    assert_eq!(kept(&hasher), 1, "somebody hashed lately");
    tokio::time::sleep(IDLE).await;
    assert_eq!(kept(&hasher), 0);
    hasher.hash(secret("third")).await.unwrap();
    assert_eq!(kept(&hasher), 1);
    tokio::time::sleep(IDLE * 3).await;
    assert_eq!(kept(&hasher), 0);
}
