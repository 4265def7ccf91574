use std::time::Duration;

use super::*;
use crate::upstream::connection::fake::RecordingConnection;
use crate::upstream::message_queue;

fn client(capabilities: &str) -> Arc<SessionClient> {
    let capabilities = RawValue::from_string(capabilities.to_owned()).unwrap();
    SessionClient::new(b"id", Principal::default(), askable(Some(&capabilities)), CancellationToken::new())
}

#[test]
fn only_a_client_that_can_be_asked_or_wants_the_log_needs_to_be_told_from_others() {
    assert!(client("{}").side().is_none());
    assert!(client(r#"{"experimental":{"x":{}},"sampling":null}"#).side().is_none());
    let side = client(r#"{"sampling":{"tools":{}},"tasks":{}}"#).side().unwrap();
    assert_eq!(&*side.capabilities, r#"{"sampling":{"tools":{}}}"#);
    let client = client("{}");
    client.set_log_level("debug".into());
    assert_eq!(client.side().unwrap().log_level.as_deref(), Some("debug"));
}

#[tokio::test]
async fn a_question_leaves_on_the_newest_way_and_its_answer_finds_back() {
    let client = client(r#"{"elicitation":{}}"#);
    assert!(client.ask("roots/list", "{}").await.is_err(), "no way is open");
    let (_stream, mut messages) = client.stream();
    let (to, mut newest) = queue();
    let way = client.request(to);
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.ask("elicitation/create", r#"{"message":"?"}"#).await }
    });
    let question: Value = serde_json::from_slice(&newest.recv().await.unwrap()).unwrap();
    assert_eq!(question["params"]["message"], "?");
    client.answered(&question["id"].to_string(), Ok("{}"));
    assert!(matches!(asking.await.unwrap(), Ok(Ok(_))));
    drop(way);
    client.notification("notifications/message", &Bytes::from_static(b"{}"));
    assert!(messages.recv().await.is_some() && newest.recv().await.is_none());
}

fn asked(number: usize, link: &Arc<RecordingConnection>) -> Question {
    Question::new(link.clone(), &number.to_string(), "roots/list", "{}")
}

async fn next(messages: &mut Receiver) -> Value {
    serde_json::from_slice(&messages.recv().await.unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer_is_refused_in_time_and_withdrawn() {
    let (client, link) = (client(r#"{"roots":{}}"#), RecordingConnection::new());
    let (_stream, mut messages) = client.stream();
    MessageHandler::request(&*client, asked(7, &link)).unwrap();
    let question = next(&mut messages).await;
    client.answered("999", Ok("{}"));
    sleep(ANSWERED_WITHIN - Duration::from_secs(1)).await;
    assert!(link.messages().is_empty());
    sleep(Duration::from_secs(2)).await;
    let told = link.messages();
    assert_eq!((told.len(), &told[0]["id"]), (1, &7.into()));
    assert_eq!(told[0]["error"]["message"], "the client did not answer within 300 s");
    let withdrawn = next(&mut messages).await;
    assert_eq!(withdrawn["method"], "notifications/cancelled");
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    client.answered(&question["id"].to_string(), Ok("{}"));
    assert_eq!(link.messages().len(), 1, "one question has one answer");
}

#[tokio::test]
async fn a_question_too_many_is_refused_and_takes_no_other_ones_place() {
    let (client, link, other) =
        (client(r#"{"roots":{}}"#), RecordingConnection::new(), RecordingConnection::new());
    let (to, mut messages) = message_queue::channel(2 * UNANSWERED, 1 << 20);
    let _way = client.request(to);
    for number in 0..=UNANSWERED {
        MessageHandler::request(&*client, asked(number, &link)).unwrap();
    }
    MessageHandler::request(&*client, asked(0, &other)).unwrap();
    let refused = link.messages();
    assert_eq!((refused.len(), &refused[0]["id"]), (1, &UNANSWERED.into()));
    for _ in 0..=UNANSWERED {
        let question = next(&mut messages).await;
        client.answered(&question["id"].to_string(), Ok("{}"));
    }
    assert_eq!((link.messages().len(), other.messages().len()), (UNANSWERED + 1, 1));
}

#[tokio::test]
async fn a_server_withdraws_its_own_question_alone() {
    let (client, link, other) =
        (client(r#"{"roots":{}}"#), RecordingConnection::new(), RecordingConnection::new());
    let (_stream, mut messages) = client.stream();
    MessageHandler::request(&*client, asked(1, &link)).unwrap();
    MessageHandler::request(&*client, asked(1, &other)).unwrap();
    let (first, second) = (next(&mut messages).await, next(&mut messages).await);
    let other: Arc<dyn Connection> = other;
    client.withdrawn(&other, "1");
    assert_eq!(next(&mut messages).await["params"]["requestId"], second["id"]);
    client.answered(&first["id"].to_string(), Ok("{}"));
    assert_eq!(link.messages().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_wants_input_does_not_wait_for_ever() {
    let client = client(r#"{"roots":{}}"#);
    let (_stream, mut messages) = client.stream();
    let began = tokio::time::Instant::now();
    assert_eq!(client.ask("roots/list", "{}").await.unwrap_err(), NoAnswer::Late);
    assert_eq!(began.elapsed(), ANSWERED_WITHIN);
    let question = next(&mut messages).await;
    assert_eq!(next(&mut messages).await["params"]["requestId"], question["id"]);
    // A request that ends earlier takes its questions with it.
    assert!(timeout(Duration::from_secs(1), client.ask("roots/list", "{}")).await.is_err());
    let question = next(&mut messages).await;
    assert_eq!(next(&mut messages).await["params"]["requestId"], question["id"]);
}

#[tokio::test]
async fn the_questions_to_a_client_that_leaves_are_refused() {
    let (client, link) = (client(r#"{"roots":{}}"#), RecordingConnection::new());
    let (_stream, _messages) = client.stream();
    MessageHandler::request(&*client, asked(1, &link)).unwrap();
    client.leave();
    assert_eq!((link.messages().len(), &link.messages()[0]["id"]), (1, &1.into()));
}
