package dev.twinsync.verification;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.capture.Capture;
import dev.twinsync.capture.TableKeys;
import dev.twinsync.flow.CallFailed;
import dev.twinsync.merge.Observation;
import dev.twinsync.merge.Ticks;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Records;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.function.Supplier;
import org.apache.camel.CamelExecutionException;
import org.apache.camel.ProducerTemplate;
import org.springframework.core.env.Environment;
import org.springframework.stereotype.Component;

/** What verification asks of the systems, each question within the budget of its end. */
@Component
class Ends {

    /** The most records of an API that one reader reads between two ticks. */
    private static final int TURN = 10;

    private final ProducerTemplate template;
    private final Capture capture;
    private final TableKeys keys;
    private final Records records;
    private final Settings settings;
    private final Budget pages;
    private final Budget calls;
    private final AtomicLong tableNanos = new AtomicLong();
    private final AtomicLong apiNanos = new AtomicLong();
    private final ExecutorService readers;

    Ends(ProducerTemplate template, Capture capture, TableKeys keys, Records records, Environment environment) {
        this.template = template;
        this.capture = capture;
        this.keys = keys;
        this.records = records;
        this.settings = Settings.of(environment);
        this.pages = new Budget(settings.appPagesPerSecond());
        this.calls = new Budget(settings.miniCallsPerSecond());
        this.readers = Executors.newFixedThreadPool(settings.miniParallel(), run -> {
            Thread thread = new Thread(run, "verify");
            thread.setDaemon(true);
            return thread;
        });
    }

    boolean isTable(String system, Schema schema) {
        return capture.isTable(system, schema);
    }

    /** What was asked so far: pages of the database, calls of the API, and the milliseconds they took. */
    Map<String, Long> load() {
        return Map.of(
                "pages",
                pages.taken(),
                "calls",
                calls.taken(),
                "table_ms",
                tableNanos.get() / 1_000_000,
                "api_ms",
                apiNanos.get() / 1_000_000);
    }

    /** A page of a table's keys with their digests, in the order of its index. */
    Map<String, String> page(String system, Schema schema, String after) {
        pages.take();
        return timed(tableNanos, () -> {
            List<String> ids = keys.page(system, schema, after, settings.appPage());
            Map<String, String> digests = new LinkedHashMap<>();
            // a row that went in between is not there: the compare of keys finds it
            ids.forEach(id -> digests.put(id, null));
            digests.putAll(digested(system, schema, ids));
            return digests;
        });
    }

    /** Of the keys, those that a table has. */
    List<String> there(String system, Schema schema, List<String> ids) {
        return keys.there(system, schema, ids);
    }

    /** The digests of a table's rows by key; a key without a row is absent. */
    Map<String, String> digests(String system, Schema schema, List<String> ids) {
        pages.take();
        return timed(tableNanos, () -> digested(system, schema, ids));
    }

    private Map<String, String> digested(String system, Schema schema, List<String> ids) {
        Map<String, String> digests = new HashMap<>();
        if (!ids.isEmpty()) {
            List<?> rows = template.requestBodyAndHeader(
                    "direct:digest-" + system + '-' + schema.plural(),
                    null,
                    "ids",
                    ids.toArray(String[]::new),
                    List.class);
            rows.forEach(row ->
                    digests.put(String.valueOf(((Map<?, ?>) row).get("id")), (String) ((Map<?, ?>) row).get("digest")));
        }
        return digests;
    }

    /** An API's digests of all buckets, by bucket; null where it has none. */
    Map<Integer, String> buckets(String system, Schema schema) {
        JsonNode answer = ask("digest-", system, schema, Map.of("bucket", ""));
        if (answer == null) {
            return null;
        }
        Map<Integer, String> buckets = new HashMap<>();
        answer.forEach(bucket ->
                buckets.put(bucket.path("bucket").asInt(), bucket.path("digest").asText()));
        return buckets;
    }

    /** An API's digests of the records of some buckets, by id, bucket by bucket; null where it has none. */
    List<Map<String, String>> ofBuckets(String system, Schema schema, Collection<Integer> buckets) {
        List<Map<String, String>> digests = parallel(List.copyOf(buckets), bucket -> bucket(system, schema, bucket));
        return digests.contains(null) ? null : digests;
    }

    /** The same of one bucket. */
    Map<String, String> bucket(String system, Schema schema, int bucket) {
        JsonNode answer = ask("digest-", system, schema, Map.of("bucket", "/" + bucket));
        if (answer == null) {
            return null;
        }
        Map<String, String> digests = new LinkedHashMap<>();
        answer.forEach(item ->
                digests.put(item.path("id").asText(), item.path("digest").asText()));
        return digests;
    }

    /** @param skipped items that are no records; {@code next} is null at the end */
    record Listed(List<Observation> looks, int skipped, String next) {}

    /** A page of an API's records with all they hold, in the order of their keys' bytes; null where it has no listing. */
    Listed list(String system, Schema schema, String after) {
        long began = records.tick();
        Map<String, Object> headers = new HashMap<>();
        headers.put("limit", settings.miniPage());
        headers.put("after", after.isEmpty() ? "" : "&after=" + URLEncoder.encode(after, StandardCharsets.UTF_8));
        JsonNode answer = ask("list-", system, schema, headers);
        if (answer == null) {
            return null;
        }
        if (!answer.path("items").isArray()) {
            throw new CallFailed(0, "the listing has no items", null, null, null);
        }
        Ticks ticks = new Ticks(began, records.tick());
        List<Observation> looks = new ArrayList<>();
        for (JsonNode item : answer.path("items")) {
            String id = item.path("id").asText();
            if (schema.refuseId(id) == null && item.path("data").isObject()) {
                looks.add(capture.reading(system, schema, id, item, ticks));
            }
        }
        String next = answer.path("next").asText(null);
        return new Listed(
                looks, answer.path("items").size() - looks.size(), next != null && next.equals(after) ? null : next);
    }

    /**
     * Reads records by their keys: a table as one set, an API one by one.
     *
     * @return by id; a record that could not be read is absent
     * @throws RuntimeException where none could be read
     */
    Map<String, Observation> look(String system, Schema schema, List<String> ids) {
        Map<String, Observation> looks = new HashMap<>();
        if (isTable(system, schema)) {
            pages.take();
            List<Observation> rows = timed(tableNanos, () -> capture.look(system, schema.entity(), ids));
            rows.forEach(look -> looks.put(look.id(), look));
            return looks;
        }
        Queue<RuntimeException> failures = new ConcurrentLinkedQueue<>();
        List<List<String>> turns = new ArrayList<>();
        int turn = Math.max(1, Math.min(TURN, ids.size() / settings.miniParallel()));
        for (int i = 0; i < ids.size(); i += turn) {
            turns.add(ids.subList(i, Math.min(ids.size(), i + turn)));
        }
        parallel(turns, some -> inTurn(system, schema, some, failures))
                .forEach(some -> some.forEach(look -> looks.put(look.id(), look)));
        if (looks.isEmpty() && !failures.isEmpty()) {
            throw failures.peek();
        }
        return looks;
    }

    /** Reads some records of an API one after the other, between two ticks; those that can't be read are left out. */
    private List<Observation> inTurn(
            String system, Schema schema, List<String> ids, Collection<RuntimeException> failures) {
        Map<String, JsonNode> shown = new LinkedHashMap<>();
        long began = records.tick();
        for (String id : ids) {
            calls.take();
            try {
                shown.put(id, timed(apiNanos, () -> capture.shown(system, schema, id)));
            } catch (RuntimeException e) {
                failures.add(e);
            }
        }
        Ticks ticks = new Ticks(began, records.tick());
        List<Observation> looks = new ArrayList<>();
        shown.forEach((id, item) -> {
            try {
                looks.add(capture.reading(system, schema, id, item, ticks));
            } catch (RuntimeException e) {
                failures.add(e);
            }
        });
        return looks;
    }

    /** Asks an API several things at a time. @return the answers, in the order of the questions */
    private <Q, A> List<A> parallel(List<Q> questions, Function<Q, A> asking) {
        List<Future<A>> asked = questions.stream()
                .map(question -> readers.submit(() -> asking.apply(question)))
                .toList();
        List<A> answers = new ArrayList<>();
        RuntimeException failed = null;
        for (Future<A> one : asked) {
            try {
                answers.add(one.get());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("interrupted", e);
            } catch (ExecutionException e) {
                failed = e.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(e);
            }
        }
        if (failed != null) {
            throw failed;
        }
        return answers;
    }

    /** The oldest entry of an API's changes. */
    JsonNode changes(String system, Schema schema) {
        return ask("find-", system, schema, Map.of("limit", 1, "after", ""));
    }

    /** Runs the flows that lock and write a table's rows, on no rows at all: they fail where the role lacks a right. */
    void tryWriting(String system, Schema schema) {
        pages.take();
        String flows = system + '-' + schema.plural();
        template.requestBodyAndHeader("direct:lock-" + flows, null, "ids", new String[0], List.class);
        template.requestBodyAndHeader("direct:write-" + flows, null, "rows", "[]");
    }

    private JsonNode ask(String verb, String system, Schema schema, Map<String, Object> headers) {
        calls.take();
        try {
            return timed(
                    apiNanos,
                    () -> template.requestBodyAndHeaders(
                            "direct:" + verb + system + '-' + schema.plural(), null, headers, JsonNode.class));
        } catch (CamelExecutionException e) {
            if (e.getCause() instanceof CallFailed call && call.status() == 404) {
                return null;
            }
            throw e;
        }
    }

    private static <T> T timed(AtomicLong nanos, Supplier<T> question) {
        long began = System.nanoTime();
        try {
            return question.get();
        } finally {
            nanos.addAndGet(System.nanoTime() - began);
        }
    }
}
