# What has left the leader's memory is read by its host, never inside a step, and not sent as a
# snapshot while the log still has it.
(cluster nodes=3 cached_bytes=200 append_bytes=120)
(campaign 1)
(stabilize)
(partition 3)
(propose 1 a)
(stabilize)
(propose 1 b)
(stabilize)
(propose 1 c)
(stabilize)
(propose 1 d)
(stabilize)
(propose 1 e)
(stabilize)
(heal)
run 500ms
expect 3 state="a b c d e" base=0@0
---
n1 → n2 Heartbeat term=1 round=0 commit=6
n1 → n3 Heartbeat term=1 round=0 commit=1
n2 ← n1 Heartbeat term=1 round=0 commit=6
n2 → n1 HeartbeatReply term=1 round=0
n3 ← n1 Heartbeat term=1 round=0 commit=1
n3 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
n1 → n2 Heartbeat term=1 round=0 commit=6
n1 → n3 Heartbeat term=1 round=0 commit=1
n2 ← n1 Heartbeat term=1 round=0 commit=6
n2 → n1 HeartbeatReply term=1 round=0
n3 ← n1 Heartbeat term=1 round=0 commit=1
n3 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
n1 → n3 Append term=1 prev=1@1 [] commit=6
n3 ← n1 Append term=1 prev=1@1 [] commit=6
n3 → n1 Appended term=1 matched=1
n1 ← n3 Appended term=1 matched=1
n1 reads its log from 2 for n3
n1 → n3 Append term=1 prev=1@1 [2@1=a 3@1=b 4@1=c 5@1=d 6@1=e] commit=6
n3 ← n1 Append term=1 prev=1@1 [2@1=a 3@1=b 4@1=c 5@1=d 6@1=e] commit=6
n3 writes #3 Append [2@1=a 3@1=b 4@1=c 5@1=d 6@1=e]
n3 writes #4 Commit 6
n3 durable #4
n3 → n1 Appended term=1 matched=6
n3 commits [2@1=a 3@1=b 4@1=c 5@1=d 6@1=e]
n1 ← n3 Appended term=1 matched=6
n1 → n2 Heartbeat term=1 round=0 commit=6
n1 → n3 Heartbeat term=1 round=0 commit=6
n2 ← n1 Heartbeat term=1 round=0 commit=6
n2 → n1 HeartbeatReply term=1 round=0
n3 ← n1 Heartbeat term=1 round=0 commit=6
n3 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
n1 → n2 Heartbeat term=1 round=0 commit=6
n1 → n3 Heartbeat term=1 round=0 commit=6
n2 ← n1 Heartbeat term=1 round=0 commit=6
n2 → n1 HeartbeatReply term=1 round=0
n3 ← n1 Heartbeat term=1 round=0 commit=6
n3 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
n1 → n2 Heartbeat term=1 round=0 commit=6
n1 → n3 Heartbeat term=1 round=0 commit=6
n2 ← n1 Heartbeat term=1 round=0 commit=6
n2 → n1 HeartbeatReply term=1 round=0
n3 ← n1 Heartbeat term=1 round=0 commit=6
n3 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
as expected
