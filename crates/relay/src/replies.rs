//! Answers of the driver: sent once, and again to whoever asks again.

use crate::acl;
use crate::bucket::Nanos;
use crate::client::{SECOND, STALE_NONCE, UNAUTHORIZED, send};
use crate::exchange::{Exchange, State};
use crate::reply::{Answer, Challenge};
use crate::{Outputs, Relay, Reply, RequestId};

impl Relay {
    /// The driver's answer to a request. Unless it is unsigned it is remembered.
    pub(crate) fn reply(&mut self, now: Nanos, reply: &Reply, out: &mut impl Outputs) {
        let Some(at) = self.ledger.answer(reply.request) else {
            return;
        };
        let Some(client) = self.table.client_mut(at) else {
            return;
        };
        let Some(exchange) = client.exchanges.iter_mut().find(|exchange| exchange.request == reply.request) else {
            return;
        };
        let State::Waiting(asked) = exchange.state else {
            return;
        };
        let challenged = matches!(reply.error, Some(UNAUTHORIZED | STALE_NONCE));
        let nonce = challenged.then(|| self.nonces.mint(&client.address, now / SECOND));
        let challenge = nonce.map(|nonce| Challenge { realm: &self.configuration.realm, nonce });
        let remote = acl::canonical(client.address.remote);
        let answer = Answer::reply(exchange.transaction, asked, reply, remote, challenge.as_ref());
        send(out, &client.address, answer.bytes());
        self.counters.replies += 1;
        if asked.charged && reply.error.is_none() {
            self.limiter.refund(client.address.remote.ip());
        }
        if reply.key.is_some() {
            exchange.state = State::Answered(answer.bytes().into());
            let surplus = client.take_surplus_answer();
            self.ledger.remember(now, client.id, reply.request, answer.bytes().len());
            if let Some(exchange) = surplus {
                self.forget(&exchange);
            }
            self.forget_old_answers(now);
        } else {
            client.exchanges.retain(|exchange| exchange.request != reply.request);
            self.table.release(at);
        }
    }

    /// The driver has not answered for so long that the client no longer asks.
    pub(crate) fn give_up(&mut self, request: RequestId) {
        let Some(at) = self.ledger.answer(request) else {
            return;
        };
        self.counters.unanswered += 1;
        if let Some(client) = self.table.client_mut(at) {
            client.exchanges.retain(|exchange| exchange.request != request);
        }
        self.table.release(at);
    }

    pub(crate) fn forget_old_answers(&mut self, now: Nanos) {
        while let Some(due) = self.ledger.poll_old_answer(now) {
            let Some(at) = self.table.find_id(due.client) else {
                continue;
            };
            let Some(client) = self.table.client_mut(at) else {
                continue;
            };
            if let Some(found) = client.exchanges.iter().position(|exchange| exchange.request == due.request) {
                let exchange = client.exchanges.remove(found);
                self.forget(&exchange);
            }
            self.table.release(at);
        }
    }

    pub(crate) fn forget(&mut self, exchange: &Exchange) {
        match &exchange.state {
            State::Waiting(_) => _ = self.ledger.answer(exchange.request),
            State::Answered(bytes) => self.ledger.forget(bytes.len()),
        }
    }
}
