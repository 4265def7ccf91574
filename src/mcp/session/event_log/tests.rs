use super::*;

fn logs() -> Arc<EventLogs> {
    EventLogs::new(1, CancellationToken::new())
}

fn kept(logs: &EventLogs) -> Vec<u64> {
    lock(&logs.streams).logs.keys().copied().collect()
}

#[test]
fn the_oldest_messages_give_way_and_the_last_never_does() {
    let mut log = Log { first: 1, reader: Some(1), ..Log::default() };
    for number in 0..MOST_EVENTS + 3 {
        log.push(number.to_string().into());
    }
    assert_eq!((log.first, log.events.len()), (4, MOST_EVENTS));
    assert!(matches!(log.after(1, 2), NextEvent::Event(4, text) if &*text == "3"));
    let long: Arc<str> = "x".repeat(MOST_BYTES + 1).into();
    log.push(long.clone());
    assert_eq!((log.events.len(), log.bytes), (1, MOST_BYTES + 1));
    log.push("short".into());
    assert_eq!((log.events.len(), log.bytes), (1, 5));
    assert!(matches!(log.after(1, log.next()), NextEvent::Nothing));
    assert!(matches!(log.after(2, 1), NextEvent::End), "another one reads");
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_over_are_kept_for_a_while_and_not_too_many() {
    let logs = logs();
    let closing = CancellationToken::new();
    let (running, _reader) = logs.open(true);
    let ends = async |text: String| {
        let (recording, reader) = logs.open(true);
        drop(reader);
        let closing = closing.clone();
        tokio::spawn(async move { recording.finish(Some(text), None, &closing).await });
        tokio::task::yield_now().await;
    };
    for number in 0..MOST_FINISHED + 4 {
        ends(number.to_string()).await;
    }
    let numbers = kept(&logs);
    assert_eq!(numbers.len(), 1 + MOST_FINISHED);
    assert!(numbers.contains(&running.number) && !numbers.contains(&(running.number + 4)));
    // A long one takes the place of the others, but not of one that is under way.
    ends("x".repeat(MOST_BYTES_OF_SESSION + 1)).await;
    assert_eq!(kept(&logs).len(), 2);
    tokio::time::sleep(KEPT * 2).await;
    assert_eq!(kept(&logs), [running.number]);
    drop(running);
    assert!(kept(&logs).is_empty());
}

#[tokio::test]
async fn a_long_answer_that_was_read_to_its_end_is_not_kept() {
    let logs = logs();
    let (recording, mut reader) = logs.open(true);
    let closing = CancellationToken::new();
    let text = "x".repeat(MOST_BYTES_OF_SESSION + 1);
    let finished = tokio::spawn(async move { recording.finish(Some(text), None, &closing).await });
    assert!(reader.next().await.unwrap().contains("retry: "));
    assert!(reader.next().await.unwrap().contains("xxx"));
    assert_eq!(kept(&logs).len(), 1);
    assert!(reader.next().await.is_none());
    assert!(kept(&logs).is_empty());
    finished.abort();
}
