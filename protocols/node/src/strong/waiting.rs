//! What a strong group does at the end of a turn with everything that waits: it goes to the leader that is known by now,
//! and fails when it has waited for too long.

use super::{Held, ReadRound, Strong};
use crate::message::{Event, Message};
use bytes::Bytes;
use quorate_base::{Input, Instant, NodeId, Out};
use quorate_raft::{self as raft, Role};

impl Strong {
    /// Fails what has waited longer than anyone should.
    pub(super) fn give_up(&mut self, now: Instant, out: &mut Out<Self>) {
        let patience = self.config.patience;
        let mut failed = Vec::new();
        let mut sift = |tokens: &mut Vec<(u64, Instant)>| {
            tokens.retain(|(token, asked)| {
                let keep = now.since(*asked) < patience;
                if !keep {
                    failed.push(*token);
                }
                keep
            });
        };
        sift(&mut self.waiting_reads);
        self.read_rounds.retain(|_, round| {
            sift(&mut round.tokens);
            !round.tokens.is_empty()
        });
        if !failed.is_empty() {
            out.event(Event::ReadFailed { tokens: failed });
        }
        self.questions.retain(|token, question| {
            let keep = now.since(question.asked) < patience;
            if !keep {
                out.event(Event::AskFailed { token: *token });
            }
            keep
        });
        let questions = &self.questions;
        self.held.retain(|held| match held.from {
            Some(_) => now.since(held.since) < patience,
            None => questions.contains_key(&held.token),
        });
    }

    /// Marks what a silent leader did not answer, so that `settle` sends it again.
    pub(super) fn mark_overdue(&mut self, now: Instant) {
        let retry_after = self.retry_after();
        let overdue = |sent: Option<Instant>| sent.is_some_and(|at| now.since(at) >= retry_after);
        let forwards = self.role != Role::Leader;
        for (seq, proposal) in &mut self.proposals {
            // A leader's own proposals are in its log, or were refused and must be tried again
            // after a longer while: an entry that is slow to commit is not helped by a copy.
            let patience = if forwards { retry_after } else { retry_after * 4 };
            if proposal.sent.is_some_and(|at| now.since(at) >= patience) {
                proposal.sent = None;
                self.unsent.push(*seq);
            }
        }
        for (token, question) in &mut self.questions {
            if forwards && overdue(question.sent) {
                question.sent = None;
                self.unsent_questions.push(*token);
            }
        }
        let late: Vec<u64> = self
            .read_rounds
            .iter()
            .filter(|(_, round)| overdue(Some(round.sent)))
            .map(|(token, _)| *token)
            .collect();
        for token in late {
            let round = self.read_rounds.remove(&token).expect("listed a moment ago");
            self.waiting_reads.extend(round.tokens);
        }
    }

    pub(super) fn settle_proposals(&mut self, now: Instant, out: &mut Out<Self>) {
        let Some(leader) = self.leader.filter(|_| !self.unsent.is_empty()) else { return };
        let mut payloads = Vec::with_capacity(self.unsent.len());
        for seq in std::mem::take(&mut self.unsent) {
            let Some(proposal) = self.proposals.get_mut(&seq) else { continue };
            if proposal.sent.is_none() {
                proposal.sent = Some(now);
                payloads.push(proposal.payload.clone());
            }
        }
        if self.role == Role::Leader {
            for payload in payloads {
                self.raft_step(now, Input::Request(raft::Request::Propose(payload)), out);
            }
        } else {
            self.forward(leader, payloads, out);
        }
    }

    /// Messages stay about as large as appends: a burst after an election must neither exceed what
    /// a frame can hold nor stand in the way of acknowledgements.
    pub(super) fn forward(&self, leader: NodeId, payloads: Vec<Bytes>, out: &mut Out<Self>) {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        for payload in payloads {
            if bytes + payload.len() > self.config.raft.max_append_bytes && !chunk.is_empty() {
                out.send(leader, Message::Forward(std::mem::take(&mut chunk)));
                bytes = 0;
            }
            bytes += payload.len();
            chunk.push(payload);
        }
        if !chunk.is_empty() {
            out.send(leader, Message::Forward(chunk));
        }
    }

    pub(super) fn settle_reads(&mut self, now: Instant, out: &mut Out<Self>) {
        if self.leader.is_none() || self.waiting_reads.is_empty() {
            return;
        }
        let tokens = std::mem::take(&mut self.waiting_reads);
        let token = self.next_round;
        self.next_round += 1;
        self.read_rounds.insert(token, ReadRound { tokens, sent: now });
        self.raft_step(now, Input::Request(raft::Request::Read { token }), out);
    }

    pub(super) fn settle_questions(&mut self, now: Instant, out: &mut Out<Self>) {
        if let Some(leader) = self.leader.filter(|_| !self.unsent_questions.is_empty()) {
            let mut asks = Vec::with_capacity(self.unsent_questions.len());
            for token in std::mem::take(&mut self.unsent_questions) {
                let Some(question) = self.questions.get_mut(&token) else { continue };
                if question.sent.is_none() {
                    question.sent = Some(now);
                    asks.push((token, question.ask));
                }
            }
            if self.role == Role::Leader {
                for (token, ask) in asks {
                    let held = Held { from: None, token, ask, applied: 0, since: now };
                    self.answer(now, held, out);
                }
            } else if !asks.is_empty() {
                out.send(leader, Message::Ask { applied: self.applied, asks });
            }
        }
        for (to, answers) in std::mem::take(&mut self.told) {
            out.send(to, Message::Told(answers));
        }
    }

    /// As the leader: what the table of members asks for, as far as consensus can follow now.
    pub(super) fn settle_members(&mut self, now: Instant, out: &mut Out<Self>) {
        if let Some(target) = self.seats.next(&self.raft) {
            let request = raft::Request::Reconfigure(target);
            self.raft_step(now, Input::Request(request), out);
        }
        if self.config.promotes_learners
            && let Some(action) = self.seats.promote(now, &self.raft, self.config.patience)
        {
            out.event(Event::Act(action));
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.proposals.is_empty()
            || !self.waiting_reads.is_empty()
            || !self.read_rounds.is_empty()
            || !self.questions.is_empty()
            || !self.held.is_empty()
    }
}
