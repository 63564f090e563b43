package dev.twinsync.delivery;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.flow.CallFailed;
import dev.twinsync.flow.FailurePolicy;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Ticks;
import dev.twinsync.merge.Writes;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Records;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.camel.CamelExecutionException;
import org.apache.camel.ProducerTemplate;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;

/** An HTTP API: guarded by the system's own position, idempotent by key, in batches where it takes them. */
@Component
class ApiTarget implements Target {

    private final ProducerTemplate template;
    private final Records records;
    private final FailurePolicy policy;
    private final int batchSize;
    private final Duration singleCallsFor;
    private final ExecutorService singles;

    /** Endpoints that said they have no batch call, and until when that is believed. */
    private final Map<String, Instant> noBatch = new ConcurrentHashMap<>();

    ApiTarget(
            ProducerTemplate template,
            Records records,
            @org.springframework.context.annotation.Lazy FailurePolicy policy,
            @Value("${twinsync.mini.batch-size}") int batchSize,
            @Value("${twinsync.mini.single-calls-for}") Duration singleCallsFor,
            @Value("${twinsync.mini.singles:32}") int singles) {
        this.template = template;
        this.records = records;
        this.policy = policy;
        this.batchSize = batchSize;
        this.singleCallsFor = singleCallsFor;
        this.singles = Executors.newFixedThreadPool(singles, run -> {
            Thread thread = new Thread(run, "write-single");
            thread.setDaemon(true);
            return thread;
        });
    }

    @Override
    public int setSize() {
        return batchSize;
    }

    @Override
    public List<Result> write(String system, Schema schema, List<Item> items, Long since) {
        String flow = "direct:batch-" + system + '-' + schema.plural();
        Instant single = noBatch.get(flow);
        if (single != null && Instant.now().isBefore(single)) {
            return one(system, schema, items, since);
        }
        ObjectNode body = Json.MAPPER.createObjectNode();
        ArrayNode array = body.putArray("items");
        for (Item item : items) {
            ObjectNode node = array.addObject();
            node.put(schema.key(), item.id());
            node.set("data", item.data());
            node.put("idempotency_key", item.key());
            node.put("if_match", item.makes() ? null : item.base().position());
        }
        long began = since == null ? records.tick() : since;
        JsonNode answer;
        try {
            answer = call(flow, body, Map.of());
        } catch (CallFailed e) {
            if (e.status() == 404) {
                noBatch.put(flow, Instant.now().plus(singleCallsFor));
                return one(system, schema, items, since);
            }
            throw e;
        }
        JsonNode results = answer.path("results");
        if (!results.isArray() || results.size() != items.size()) {
            throw new CallFailed(
                    0, "the answer has " + results.size() + " results for " + items.size(), null, null, null);
        }
        Ticks ticks = new Ticks(began, records.tick());
        List<Result> all = new ArrayList<>();
        for (int i = 0; i < items.size(); i++) {
            all.add(result(items.get(i), results.get(i), ticks));
        }
        return all;
    }

    private Result result(Item item, JsonNode answer, Ticks ticks) {
        if (!item.id().equals(answer.path("id").asText(item.id()))) {
            return new Result.Failed(
                    new CallFailed(0, "the results are not in the order of the items", null, null, null));
        }
        int code = answer.path("code").asInt(-1);
        if (code == 0) {
            return written(item, answer, ticks);
        }
        if (code == 409) {
            return new Result.Differs(false);
        }
        return failed(new CallFailed(
                code < 0 ? 0 : code,
                answer.path("message").asText("code " + code),
                null,
                String.valueOf(code),
                answer.path("field").asText(null)));
    }

    private static Result written(Item item, JsonNode answer, Ticks ticks) {
        String position = answer.path("updated_at").asText(null);
        Base base = item.makes() ? Base.unknown(item.base().system()) : item.base();
        base = base.at(item.base().revision());
        return new Result.Written(Writes.answered(base, item.values(), position, ticks, item.version()));
    }

    private Result failed(CallFailed cause) {
        return policy.kind(cause) == FailurePolicy.Kind.PERMANENT
                ? new Result.Refused(cause)
                : new Result.Failed(cause);
    }

    /** Single calls, each key once, side by side. */
    private List<Result> one(String system, Schema schema, List<Item> items, Long since) {
        String flow = "direct:write-" + system + '-' + schema.plural();
        List<Future<Result>> calls = new ArrayList<>();
        for (Item item : items) {
            calls.add(singles.submit(() -> {
                ObjectNode body = Json.MAPPER.createObjectNode();
                body.put(schema.key(), item.id());
                body.set("data", item.data());
                Map<String, Object> headers = new HashMap<>();
                headers.put("idempotency_key", item.key());
                headers.put("if_match", item.makes() ? null : item.base().position());
                long began = since == null ? records.tick() : since;
                try {
                    JsonNode answer = call(flow, body, headers);
                    if (answer.path("code").asInt(-1) != 0) {
                        return failed(new CallFailed(0, "the answer has no code 0", null, null, null));
                    }
                    return written(item, answer, new Ticks(began, records.tick()));
                } catch (CallFailed e) {
                    return e.status() == 409 ? new Result.Differs(false) : failed(e);
                } catch (RuntimeException e) {
                    return new Result.Failed(e);
                }
            }));
        }
        List<Result> results = new ArrayList<>();
        for (Future<Result> call : calls) {
            try {
                results.add(call.get());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("interrupted", e);
            } catch (ExecutionException e) {
                results.add(new Result.Failed(e.getCause()));
            }
        }
        if (results.stream().allMatch(Result.Failed.class::isInstance)) {
            throw new IllegalStateException(((Result.Failed) results.get(0)).cause());
        }
        return results;
    }

    private JsonNode call(String flow, ObjectNode body, Map<String, Object> headers) {
        try {
            return template.requestBodyAndHeaders(flow, body, headers, JsonNode.class);
        } catch (CamelExecutionException e) {
            throw e.getCause() instanceof CallFailed failed ? failed : new IllegalStateException(e.getCause());
        }
    }
}
