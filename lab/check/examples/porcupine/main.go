// Judges histories with Porcupine and prints, for each, the verdict and the microseconds of reading and of judging.
//
// Arguments: pairs of a mode and a file. Modes: register (Jepsen's text logs), key-value (by key), whole (keys, not split).
package main

import (
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

type request struct {
	f        string
	key      string
	from, to string
}

type answer struct {
	value   string
	failed  bool
	unknown bool
}

func stepRegister(state string, in request, out answer) (bool, string) {
	switch in.f {
	case "read":
		return out.unknown || state == out.value, state
	case "write":
		return true, in.to
	default:
		if state == in.from {
			return out.unknown || !out.failed, in.to
		}
		return out.unknown || out.failed, state
	}
}

func stepKey(state string, in request, out answer) (bool, string) {
	switch in.f {
	case "get":
		return out.unknown || state == out.value, state
	case "put":
		return true, in.to
	default:
		return true, state + in.to
	}
}

func hash(texts ...string) uint64 {
	sum := fnv.New64a()
	for _, text := range texts {
		sum.Write([]byte(text))
		sum.Write([]byte{0})
	}
	return sum.Sum64()
}

func model(initial string, step func(string, request, answer) (bool, string)) porcupine.Model {
	return porcupine.Model{
		Init: func() interface{} { return initial },
		Step: func(state, in, out interface{}) (bool, interface{}) {
			ok, next := step(state.(string), in.(request), out.(answer))
			return ok, next
		},
		Hash: func(state interface{}) uint64 { return hash(state.(string)) },
	}
}

func byKey(events []porcupine.Event) [][]porcupine.Event {
	place := map[string]int{}
	keyOf := map[int]string{}
	var parts [][]porcupine.Event
	for _, event := range events {
		if event.Kind == porcupine.CallEvent {
			keyOf[event.Id] = event.Value.(request).key
		}
		key := keyOf[event.Id]
		if _, ok := place[key]; !ok {
			place[key] = len(parts)
			parts = append(parts, nil)
		}
		parts[place[key]] = append(parts[place[key]], event)
	}
	return parts
}

func whole() porcupine.Model {
	return porcupine.Model{
		Init: func() interface{} { return map[string]string{} },
		Step: func(state, in, out interface{}) (bool, interface{}) {
			keys, asked := state.(map[string]string), in.(request)
			ok, next := stepKey(keys[asked.key], asked, out.(answer))
			if !ok || asked.f == "get" {
				return ok, state
			}
			copied := make(map[string]string, len(keys)+1)
			for key, value := range keys {
				copied[key] = value
			}
			copied[asked.key] = next
			return true, copied
		},
		Hash: func(state interface{}) uint64 {
			var sum uint64
			for key, value := range state.(map[string]string) {
				sum ^= hash(key, value)
			}
			return sum
		},
		Equal: func(a, b interface{}) bool {
			left, right := a.(map[string]string), b.(map[string]string)
			if len(left) != len(right) {
				return false
			}
			for key, value := range left {
				if other, ok := right[key]; !ok || other != value {
					return false
				}
			}
			return true
		},
	}
}

// A completion of an operation that is told apart by its process.
type line struct {
	process int
	kind    string
	request request
	answer  answer
}

func readLog(text string) []line {
	var lines []line
	for _, row := range strings.Split(text, "\n") {
		_, rest, ok := strings.Cut(row, "jepsen.util - ")
		if !ok {
			continue
		}
		fields := strings.Split(strings.TrimRight(rest, "\r"), "\t")
		process, err := strconv.Atoi(strings.TrimSpace(fields[0]))
		if err != nil || len(fields) < 4 {
			continue
		}
		one := line{process: process, kind: strings.TrimPrefix(fields[1], ":")}
		one.request.f = strings.TrimPrefix(fields[2], ":")
		value := strings.TrimSpace(fields[3])
		timedOut := value == ":timed-out"
		if one.request.f == "cas" && !timedOut {
			words := strings.Fields(strings.Trim(value, "[]"))
			one.request.from, one.request.to = words[0], words[1]
		} else {
			one.request.to = value
		}
		one.answer = answer{value: value, failed: one.kind == "fail", unknown: timedOut}
		lines = append(lines, one)
	}
	return lines
}

func readKeys(text string) []line {
	var lines []line
	field := func(row, name string) string {
		_, rest, ok := strings.Cut(row, name+" ")
		if !ok {
			return ""
		}
		if rest[0] == '"' {
			value, _, _ := strings.Cut(rest[1:], "\"")
			return value
		}
		value, _, _ := strings.Cut(rest, ",")
		return strings.TrimRight(value, "}")
	}
	for _, row := range strings.Split(text, "\n") {
		process, err := strconv.Atoi(field(row, ":process"))
		if err != nil {
			continue
		}
		value := field(row, ":value")
		asked := request{f: field(row, ":f")[1:], key: field(row, ":key"), to: value}
		lines = append(lines, line{process, field(row, ":type")[1:], asked, answer{value: value}})
	}
	return lines
}

// What never completes returns at the end, with an answer that allows everything.
func events(lines []line) []porcupine.Event {
	var events []porcupine.Event
	open := map[int]int{}
	next := 0
	for _, one := range lines {
		switch one.kind {
		case "invoke":
			open[one.process] = next
			events = append(events, porcupine.Event{ClientId: one.process, Kind: porcupine.CallEvent, Value: one.request, Id: next})
			next++
		case "ok", "fail":
			id := open[one.process]
			delete(open, one.process)
			events = append(events, porcupine.Event{ClientId: one.process, Kind: porcupine.ReturnEvent, Value: one.answer, Id: id})
		}
	}
	for process, id := range open {
		events = append(events, porcupine.Event{ClientId: process, Kind: porcupine.ReturnEvent, Value: answer{unknown: true}, Id: id})
	}
	return events
}

func main() {
	for place := 1; place+1 < len(os.Args); place += 2 {
		mode, file := os.Args[place], os.Args[place+1]
		started := time.Now()
		bytes, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		var lines []line
		var judge porcupine.Model
		switch mode {
		case "register":
			lines, judge = readLog(string(bytes)), model("nil", stepRegister)
		case "key-value":
			lines, judge = readKeys(string(bytes)), model("", stepKey)
			judge.PartitionEvent = byKey
		default:
			lines, judge = readKeys(string(bytes)), whole()
		}
		history := events(lines)
		read := time.Since(started)
		started = time.Now()
		verdict := porcupine.CheckEvents(judge, history)
		fmt.Println(verdict, read.Microseconds(), time.Since(started).Microseconds())
	}
}
