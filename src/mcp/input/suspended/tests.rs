use bytes::Bytes;

use super::*;
use crate::catalog::SignInEnd;
use crate::mcp::input::active::InputChannel;
use crate::upstream::connection::fake::RecordingConnection;
use crate::upstream::progress::queue;
use crate::upstream::{MessageHandler, Question};

fn key() -> RequestKey {
    let caller = Caller::of_test(Principal::default());
    RequestKey::new(&caller, None, "tools/call", &Members::default())
}

fn suspended() -> Arc<SuspendedRequests> {
    let replica = Replica { name: "one".to_owned(), url: None };
    Arc::new(SuspendedRequests::new(&SealSecrets::of_this_process().unwrap(), replica))
}

/// What becomes of a request whose server does this beside it.
async fn outcome(
    suspended: &Arc<SuspendedRequests>,
    work: impl Future<Output = Finished> + Send + 'static,
    server: impl AsyncFnOnce(Arc<dyn MessageHandler>),
) -> serde_json::Value {
    let channel = InputChannel::new(false, false);
    let handler = channel.handler.clone();
    let (to, _heard) = queue();
    let closing = CancellationToken::new();
    let working = suspended.work(key, channel.active(Box::pin(work), SignInEnd::default()), to, &closing);
    tokio::select! {
        biased;
        finished = working => match finished {
            Finished::Result(result) => serde_json::from_slice(&result).unwrap(),
            other => panic!("{other:?}"),
        },
        () = server(handler) => panic!("the server had its way"),
    }
}

async fn for_ever() -> Finished {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_without_end_is_not_listened_to_for_ever() {
    let (suspended, link) = (suspended(), RecordingConnection::new());
    let began = Instant::now();
    let result = outcome(&suspended, for_ever(), async |handler| {
        for number in 0..400 {
            let _refused =
                handler.request(Question::new(link.clone(), &number.to_string(), "roots/list", "{}"));
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(began.elapsed(), GATHER_LONGEST);
    assert_eq!(result["inputRequests"].as_object().unwrap().len(), 40);
    // Further ones wait for the next round, or are refused; all have an answer once the request is over.
    assert_eq!(lock(&suspended.waiting).len(), 1);
    sleep(ANSWERED_WITHIN + GATHER).await;
    assert_eq!((lock(&suspended.waiting).len(), link.messages().len()), (0, 40));
}

#[tokio::test(start_paused = true)]
async fn the_questions_of_one_round_are_bounded_in_number_and_in_bytes() {
    let (suspended, link) = (suspended(), RecordingConnection::new());
    for (params, taken) in [("{}".to_owned(), 64), (format!("{{\"a\":\"{}\"}}", "a".repeat(300 << 10)), 3)] {
        let before = link.messages().len();
        let result = outcome(&suspended, for_ever(), async |handler| {
            for number in 0..70 {
                let question = Question::new(link.clone(), &number.to_string(), "roots/list", &params);
                assert!(handler.request(question).is_ok());
            }
            std::future::pending().await
        })
        .await;
        assert_eq!(result["inputRequests"].as_object().unwrap().len(), taken);
        let refused = &link.messages()[before..];
        assert_eq!(refused.len(), 70 - taken);
        assert!(
            refused.iter().all(|answer| answer["error"]["message"].as_str().unwrap().contains("already"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_ends_while_questions_are_gathered_is_not_held_up() {
    let (suspended, link) = (suspended(), RecordingConnection::new());
    let work = async {
        sleep(Duration::from_millis(30)).await;
        Finished::Result(Bytes::from_static(b"\"done\""))
    };
    let result = outcome(&suspended, work, async |handler| {
        loop {
            assert!(handler.request(Question::new(link.clone(), "1", "roots/list", "{}")).is_ok());
            sleep(Duration::from_millis(7)).await;
        }
    })
    .await;
    assert_eq!((result, lock(&suspended.waiting).len()), ("done".into(), 0));
    assert!(link.messages().iter().all(|answer| answer["error"].is_object()), "each has its answer");
    assert_eq!(link.messages().len(), 5);
}
