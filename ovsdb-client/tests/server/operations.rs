//! Every operation, what it answers, and every way to be refused.

use ovsdb_client::{
    Atom, Columns, Condition, Connection, Datum, ErrorKind, Function, Mutation, Mutator, Operation,
    Outcome, Real, Refusal, Row as _, TransactError, Until, Uuid,
};

use super::process::{DATABASE, Thing, alone};

fn table() -> String {
    "Thing".to_owned()
}

fn by_name(name: &str) -> Vec<Condition> {
    vec![Condition::new("name", Function::Eq, name)]
}

fn insert(columns: &[(&str, Datum)]) -> Operation {
    let row = columns
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    Operation::Insert {
        table: table(),
        row,
        uuid: None,
        name: None,
    }
}

async fn transact(connection: &Connection, operations: &[Operation]) -> Vec<Outcome> {
    connection
        .transact(DATABASE, operations)
        .await
        .expect("done")
}

async fn refused(connection: &Connection, operations: &[Operation]) -> Refusal {
    match connection.transact(DATABASE, operations).await {
        Err(TransactError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

async fn select(connection: &Connection, conditions: Vec<Condition>) -> Vec<Columns> {
    let select = Operation::Select {
        table: table(),
        conditions,
        columns: None,
    };
    transact(connection, &[select]).await[0]
        .rows()
        .expect("rows")
        .to_vec()
}

#[tokio::test]
async fn rows_are_inserted_by_names_and_by_chosen_uuids() {
    let (server, _dir) = alone();
    let connection = server.connect().await;
    let chosen = Uuid::from_digest([7; 16]);
    let outcomes = transact(
        &connection,
        &[
            Operation::Insert {
                table: "Part".into(),
                row: Columns::from([("name".to_owned(), "p".into())]),
                uuid: Some(chosen),
                name: None,
            },
            Operation::Insert {
                table: table(),
                row: Columns::from([(
                    "part".to_owned(),
                    Datum::from(Atom::NamedUuid("other".into())),
                )]),
                uuid: None,
                name: Some("first".into()),
            },
            Operation::Insert {
                table: "Part".into(),
                row: Columns::new(),
                uuid: None,
                name: Some("other".into()),
            },
            Operation::Comment("two parts".into()),
            Operation::Commit { durable: true },
        ],
    )
    .await;
    assert_eq!(outcomes[0], Outcome::Inserted(chosen));
    let named = outcomes[2].uuid().expect("inserted");
    assert_eq!(outcomes[3..], [Outcome::Done, Outcome::Done]);
    let rows = select(&connection, Vec::new()).await;
    assert_eq!(rows[0]["part"], named.into());
    // The part that nothing refers to is not kept; the same row again is: it is not there.
    let again = insert_chosen(chosen, "q");
    transact(&connection, std::slice::from_ref(&again)).await;
    let refusal = refused(&connection, &[again]).await;
    assert_eq!(refusal.kind(), Some(&ErrorKind::DuplicateUuid), "{refusal}");
}

fn insert_chosen(uuid: Uuid, name: &str) -> Operation {
    Operation::Insert {
        table: table(),
        row: Thing::named(name).columns(),
        uuid: Some(uuid),
        name: None,
    }
}

#[tokio::test]
async fn every_condition_selects_what_it_says() {
    let (server, _dir) = alone();
    let connection = server.connect().await;
    let tags = |tags: &[&str]| Datum::Set(tags.iter().map(|&tag| Atom::from(tag)).collect());
    for count in 1..=3_i64 {
        let name = format!("n{count}");
        let of = ["a", "b", "c"];
        transact(
            &connection,
            &[insert(&[
                ("name", name.as_str().into()),
                ("count", count.into()),
                ("tags", tags(&of[..count as usize])),
            ])],
        )
        .await;
    }
    for (column, function, value, expected) in [
        ("count", Function::Lt, 2_i64.into(), vec!["n1"]),
        ("count", Function::Le, 2_i64.into(), vec!["n1", "n2"]),
        ("count", Function::Eq, 2_i64.into(), vec!["n2"]),
        ("count", Function::Ne, 2_i64.into(), vec!["n1", "n3"]),
        ("count", Function::Ge, 2_i64.into(), vec!["n2", "n3"]),
        ("count", Function::Gt, 2_i64.into(), vec!["n3"]),
        (
            "tags",
            Function::Includes,
            tags(&["a", "b"]),
            vec!["n2", "n3"],
        ),
        ("tags", Function::Excludes, tags(&["b"]), vec!["n1"]),
    ] {
        let rows = select(&connection, vec![Condition::new(column, function, value)]).await;
        let mut names: Vec<_> = rows
            .iter()
            .map(|row| Thing::read(row).expect("a row").name)
            .collect();
        names.sort();
        assert_eq!(names, expected, "{column} {function:?}");
    }
    let both = vec![
        Condition::new("count", Function::Gt, 1_i64),
        Condition::new("count", Function::Lt, 3_i64),
    ];
    assert_eq!(select(&connection, both).await.len(), 1);
}

#[tokio::test]
async fn every_mutator_changes_what_it_says() {
    let (server, _dir) = alone();
    let connection = server.connect().await;
    let ids = |pairs: &[(&str, &str)]| {
        Datum::Map(
            pairs
                .iter()
                .map(|(k, v)| (Atom::from(*k), Atom::from(*v)))
                .collect(),
        )
    };
    let row = [
        ("name", "n".into()),
        ("count", 7_i64.into()),
        ("ids", ids(&[("a", "1"), ("b", "2")])),
    ];
    transact(&connection, &[insert(&row)]).await;
    let mutate = |column: &str, mutator, value: Datum| Operation::Mutate {
        table: table(),
        conditions: by_name("n"),
        mutations: vec![Mutation::new(column, mutator, value)],
    };
    for (mutator, by, expected) in [
        (Mutator::Add, 5, 12_i64),
        (Mutator::Sub, 2, 10),
        (Mutator::Mul, 6, 60),
        (Mutator::Div, 7, 8),
        (Mutator::Rem, 5, 3),
    ] {
        let outcomes = transact(&connection, &[mutate("count", mutator, by.into())]).await;
        assert_eq!(outcomes, [Outcome::Count(1)]);
        let rows = select(&connection, by_name("n")).await;
        assert_eq!(rows[0]["count"], expected.into(), "{mutator:?}");
    }
    transact(
        &connection,
        &[mutate("ratio", Mutator::Add, Real(0.25).into())],
    )
    .await;
    transact(
        &connection,
        &[mutate(
            "ids",
            Mutator::Insert,
            ids(&[("a", "9"), ("c", "3")]),
        )],
    )
    .await;
    transact(
        &connection,
        &[mutate(
            "ids",
            Mutator::Delete,
            Datum::Set([Atom::from("b")].into()),
        )],
    )
    .await;
    let rows = select(&connection, by_name("n")).await;
    assert_eq!(rows[0]["ids"], ids(&[("a", "1"), ("c", "3")]));
    assert_eq!(rows[0]["ratio"], Real(0.25).into());
    let refusal = refused(&connection, &[mutate("count", Mutator::Div, 0_i64.into())]).await;
    assert_eq!(refusal.kind(), Some(&ErrorKind::Domain));
    let refusal = refused(
        &connection,
        &[mutate("count", Mutator::Add, i64::MAX.into())],
    )
    .await;
    assert_eq!(refusal.kind(), Some(&ErrorKind::Range));
}

#[tokio::test]
async fn updates_and_deletes_count_their_rows() {
    let (server, _dir) = alone();
    let connection = server.connect().await;
    transact(
        &connection,
        &[Thing::named("a").insert(), Thing::named("b").insert()],
    )
    .await;
    let update = Operation::Update {
        table: table(),
        conditions: Vec::new(),
        row: Columns::from([
            ("count".to_owned(), 5_i64.into()),
            ("flag".to_owned(), true.into()),
        ]),
    };
    let delete = Operation::Delete {
        table: table(),
        conditions: by_name("a"),
    };
    let outcomes = transact(&connection, &[update, delete.clone(), delete]).await;
    assert_eq!(
        outcomes,
        [Outcome::Count(2), Outcome::Count(1), Outcome::Count(0)]
    );
    let rows = select(&connection, Vec::new()).await;
    assert_eq!(
        (rows.len(), &rows[0]["count"], &rows[0]["flag"]),
        (1, &5_i64.into(), &true.into())
    );
}

#[tokio::test]
async fn waits_end_when_met_and_fail_in_time() {
    let (server, _dir) = alone();
    let connection = server.connect().await;
    let wait = |until, timeout_ms| Operation::Wait {
        table: table(),
        conditions: by_name("w"),
        columns: vec!["count".into()],
        until,
        rows: vec![Columns::from([("count".to_owned(), 1_i64.into())])],
        timeout_ms,
    };
    let met = transact(&connection, &[wait(Until::NotEqual, Some(0))]).await;
    assert_eq!(met, [Outcome::Done]);
    let refusal = refused(&connection, &[wait(Until::Equal, Some(50))]).await;
    assert_eq!(refusal.kind(), Some(&ErrorKind::TimedOut));
    // One that waits for ever is met by what another connection writes.
    let other = server.connect().await;
    let long = [wait(Until::Equal, None)];
    let (met, ()) = tokio::join!(connection.transact(DATABASE, &long), async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let thing = Thing {
            count: 1,
            ..Thing::named("w")
        };
        transact(&other, &[thing.insert()]).await;
    });
    assert_eq!(met.expect("met"), [Outcome::Done]);
}

#[tokio::test]
async fn a_refused_transaction_names_operation_and_cause_and_does_nothing() {
    let (server, _dir) = alone();
    let connection = server.connect().await;
    let good = Thing::named("good").insert();
    let small = insert(&[("name", "x".into()), ("count", (-2000_i64).into())]);
    let typo = insert(&[("nmae", "x".into())]);
    let nowhere = Operation::Delete {
        table: "Nothing".into(),
        conditions: Vec::new(),
    };
    let dangling = insert(&[("part", Uuid::from_digest([1; 16]).into())]);
    let lock = Operation::Assert { lock: "l".into() };
    let twice = || Operation::Insert {
        table: table(),
        row: Columns::new(),
        uuid: None,
        name: Some("same".into()),
    };
    for (operations, index, kind) in [
        (
            vec![good.clone(), small],
            Some(1),
            ErrorKind::ConstraintViolation,
        ),
        (vec![good.clone(), typo], Some(1), ErrorKind::UnknownColumn),
        (vec![nowhere], Some(0), ErrorKind::Syntax),
        (
            vec![good.clone(), good.clone()],
            None,
            ErrorKind::ConstraintViolation,
        ),
        (
            vec![good.clone(), dangling],
            None,
            ErrorKind::ReferentialIntegrity,
        ),
        (
            vec![good.clone(), Operation::Abort],
            Some(1),
            ErrorKind::Aborted,
        ),
        (vec![lock], Some(0), ErrorKind::NotOwner),
        (
            vec![twice(), twice()],
            Some(1),
            ErrorKind::DuplicateUuidName,
        ),
    ] {
        let refusal = refused(&connection, &operations).await;
        assert_eq!(refusal.kind(), Some(&kind), "{refusal}");
        match refusal {
            Refusal::Operation {
                index: at,
                operation,
                ..
            } => {
                assert_eq!((Some(at), operation), (index, operations[at].word()));
            }
            Refusal::Commit(_) => assert_eq!(index, None),
            other => panic!("{other}"),
        }
    }
    assert!(select(&connection, Vec::new()).await.is_empty());
    let refusal = match connection.transact("Other", &[]).await {
        Err(TransactError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal.kind(), Some(&ErrorKind::UnknownDatabase));
}
