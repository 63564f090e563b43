package dev.twinsync.devservices;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.cfg.JsonNodeFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.math.BigDecimal;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A mini-program's backend with real state, as its contract says: guards, a journal by idempotency key, changes, reads,
 * listings and digests. It shares no code with the service. Tests can make it fail in the ways real ones do, and ask it
 * what it saw.
 */
public final class MiniProgram implements AutoCloseable {

    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
            .disable(JsonNodeFeature.STRIP_TRAILING_BIGDECIMAL_ZEROES)
            .build();
    private static final DateTimeFormatter MICROS =
            DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);
    private static final DateTimeFormatter DATE = DateTimeFormatter.RFC_1123_DATE_TIME.withZone(ZoneOffset.UTC);
    private static final Comparator<String> BY_BYTES = MiniProgram::byBytes;
    private static final Map<String, String> KEYS =
            Map.of("user", "user_id", "order", "order_id", "coupon", "coupon_id");

    private static final int BUCKETS = 1024;

    /** How a call is made to fail. */
    public enum Fault {
        /** The connection is closed without an answer, and nothing was done. */
        RESET,
        /** A gateway's page, with 200. */
        HTML,
        /** JSON that breaks off. */
        CUT,
        /** It is done, and then the connection is closed without an answer. */
        APPLIED_THEN_RESET
    }

    private static final class Item {
        private final ObjectNode data;
        private String updatedAt;
        private boolean deleted;
        private long sequence;
        private String digest;

        Item(ObjectNode data) {
            this.data = data;
        }
    }

    /** The records of an entity by bucket, with the digests that are still right: what changes costs its bucket alone. */
    private static final class Buckets {
        private final List<TreeMap<String, Item>> records = new ArrayList<>();
        private final String[] digests = new String[BUCKETS];

        Buckets() {
            for (int i = 0; i < BUCKETS; i++) {
                records.add(new TreeMap<>(BY_BYTES));
            }
        }
    }

    private record Answered(String request, ObjectNode answer) {}

    /** What becomes of an answer's body on its way; its status stays. */
    public interface Distortion {
        /** @return what is sent instead */
        byte[] of(String path, byte[] body);
    }

    /**
     * A write that was asked for.
     *
     * @param again whether its key had been used: it was answered as it had been then, and nothing was done
     */
    public record Write(String entity, String id, String key, JsonNode data, int code, boolean again) {}

    /** What a record became. @param key of the write, or null where it was edited at the mini-program itself */
    public record Became(String entity, String id, String key, String position, JsonNode data) {}

    /** Is told of each write. */
    public interface Watcher {
        /** @param arrived when its request began to arrive, by {@link System#nanoTime} */
        void written(Write write, long arrived);
    }

    private final HttpServer server;
    // as many as there are requests: writes that are held keep no others out
    private final ExecutorService workers = Executors.newCachedThreadPool(run -> {
        Thread thread = new Thread(run, "mini-program");
        thread.setDaemon(true);
        return thread;
    });
    private final Map<String, TreeMap<String, Item>> items = new HashMap<>();
    private final Map<String, Buckets> buckets = new HashMap<>();
    private final Deque<Long> looks = new ArrayDeque<>();
    private long looksSince;
    private final Map<String, TreeMap<Long, String>> changes = new HashMap<>();
    private final Map<String, Answered> journal = new HashMap<>();
    private final Map<String, Integer> refusals = new ConcurrentHashMap<>();
    private final Deque<Object> faults = new ArrayDeque<>();
    private final Map<String, Long> versions = new HashMap<>();
    /** Two writes of a record, by their idempotency keys, the later of which came while the first was being worked. */
    public record AtOnce(String record, String first, String later, Duration after) {}

    /** A write of a record that is being worked, by its idempotency key, since a nanosecond. */
    private record UnderWay(String record, String key, long since) {}

    /** By record the writes that are being worked. */
    private final Map<String, List<UnderWay>> underWay = new ConcurrentHashMap<>();

    private final List<Write> writes = new ArrayList<>();
    private final List<Became> became = new ArrayList<>();
    private final AtomicInteger echoes = new AtomicInteger();
    private final AtomicInteger backwards = new AtomicInteger();
    private final List<AtOnce> concurrent = new CopyOnWriteArrayList<>();
    private final List<String> violations = new CopyOnWriteArrayList<>();
    private final AtomicInteger requests = new AtomicInteger();
    private final AtomicLong lastWrite = new AtomicLong();
    private long sequence;
    private Instant last = Instant.EPOCH;

    private volatile String apiKey = "mini-api-key";
    private volatile Integer always;
    private volatile boolean batches = true;
    private volatile CountDownLatch held = new CountDownLatch(0);
    private volatile boolean digests = true;
    private volatile boolean listings = true;
    private volatile boolean keepsWrites = true;
    private volatile Watcher watcher;
    private volatile boolean keepsLooks;
    private volatile Distortion distortion;
    private volatile String lost;
    private final AtomicInteger failed = new AtomicInteger();
    private final AtomicInteger pollsAtOnce = new AtomicInteger();
    private final Set<String> polled = ConcurrentHashMap.newKeySet();

    private MiniProgram(HttpServer server) {
        this.server = server;
    }

    /** @param port 0 for any free one */
    public static MiniProgram start(int port) throws IOException {
        // without it each answer on a kept connection waits for the client's delayed acknowledgement
        System.setProperty("sun.net.httpserver.nodelay", "true");
        MiniProgram mini = new MiniProgram(HttpServer.create(new InetSocketAddress("127.0.0.1", port), 256));
        mini.server.createContext("/", mini::handle);
        mini.server.setExecutor(mini.workers);
        mini.server.start();
        return mini;
    }

    public String url() {
        return "http://127.0.0.1:" + server.getAddress().getPort();
    }

    @Override
    public void close() {
        server.stop(0);
        workers.shutdownNow();
    }

    // -- what a person or a test does at the mini-program itself

    /** Sets fields of a record, makes it where it isn't there; a null clears. */
    public synchronized void edit(String entity, String id, Map<String, ?> fields) {
        Item item = of(entity).computeIfAbsent(id, k -> new Item(JSON.createObjectNode()));
        ObjectNode values = JSON.valueToTree(fields);
        apply(item, values);
        touch(entity, id, item);
        became(entity, id, null, item);
    }

    private void became(String entity, String id, String key, Item item) {
        if (keepsWrites) {
            became.add(new Became(entity, id, key, item.updatedAt, shown(item).deepCopy()));
        }
    }

    /** Changes a record by hand, so that nothing tells of it: neither its time nor {@link #changes}. */
    public synchronized void tamper(String entity, String id, Map<String, ?> fields) {
        Item item = of(entity).computeIfAbsent(id, k -> new Item(JSON.createObjectNode()));
        if (item.updatedAt == null) {
            item.updatedAt = "2020-01-01T00:00:00.000000Z";
        }
        apply(item, JSON.valueToTree(fields));
        place(entity, id, item);
    }

    /** Many records that have been there for long: what {@link #tamper} would make of each, without a copy of its values. */
    public void fill(String entity, String id, ObjectNode data) {
        Item item = new Item(data);
        item.updatedAt = "2020-01-01T00:00:00.000000Z";
        item.deleted = data.path("deleted").asBoolean();
        // what costs the most is done by several callers at a time
        item.digest = digest(id, item);
        int bucket = bucket(id);
        synchronized (this) {
            of(entity).put(id, item);
            place(entity, bucket, id, item);
        }
    }

    /** The digest of a record as {@code /digests} tells it, or null. */
    public synchronized String digest(String entity, String id) {
        Item item = of(entity).get(id);
        return item == null ? null : item.digest;
    }

    /** Computes all digests of an entity anew, as a backend does that keeps none. */
    public synchronized void digest(String entity) {
        of(entity).forEach((id, item) -> place(entity, id, item));
        digests(entity, BUCKETS);
    }

    /** Two records each take what the other held; nothing tells of it. */
    public synchronized void swap(String entity, String one, String other) {
        Item a = of(entity).get(one);
        Item b = of(entity).get(other);
        ObjectNode kept = a.data.deepCopy();
        a.data.removeAll();
        a.data.setAll(b.data);
        b.data.removeAll();
        b.data.setAll(kept);
        place(entity, one, a);
        place(entity, other, b);
    }

    /** The record is gone, and nothing tells of it. */
    public synchronized void remove(String entity, String id) {
        Item item = of(entity).remove(id);
        if (item != null) {
            changes.computeIfAbsent(entity, e -> new TreeMap<>()).remove(item.sequence);
            place(entity, id, null);
        }
    }

    /** The record's data, or null. */
    public synchronized JsonNode read(String entity, String id) {
        Item item = of(entity).get(id);
        return item == null ? null : shown(item);
    }

    public synchronized List<String> ids(String entity) {
        return List.copyOf(of(entity).keySet());
    }

    public synchronized Map<String, JsonNode> all(String entity) {
        Map<String, JsonNode> all = new TreeMap<>();
        of(entity).forEach((id, item) -> all.put(id, shown(item)));
        return all;
    }

    public synchronized void clear() {
        items.clear();
        buckets.clear();
        changes.clear();
        journal.clear();
        versions.clear();
        refusals.clear();
        faults.clear();
        writes.clear();
        became.clear();
        concurrent.clear();
        violations.clear();
        always = null;
        distortion = null;
        lost = null;
        batches = true;
        for (AtomicInteger count : List.of(echoes, backwards, requests)) {
            count.set(0);
        }
    }

    // -- switches

    /** Every write of the record is refused with the code until it is allowed again. */
    public void refuse(String entity, String id, int code) {
        refusals.put(entity + '/' + id, code);
    }

    public void allow(String entity, String id) {
        refusals.remove(entity + '/' + id);
    }

    /** Every call is answered with this status; null ends it. */
    public void always(Integer status) {
        always = status;
    }

    /** The next writes fail so, one after the other: a {@link Fault}, or a status. */
    public synchronized void next(Object... nextFaults) {
        faults.addAll(List.of(nextFaults));
    }

    /** Writes arrive, but none is worked until they are let go. */
    public void hold() {
        held = new CountDownLatch(1);
    }

    public void letGo() {
        held.countDown();
    }

    /** How many records are being written, or wait to be. */
    public int underWay() {
        return underWay.size();
    }

    /** Whether a write of the record is being worked, or waits to be. */
    public boolean isUnderWay(String entity, String id) {
        return underWay.containsKey(entity + '/' + id);
    }

    public void batches(boolean has) {
        batches = has;
    }

    public void digests(boolean has) {
        digests = has;
    }

    public void listings(boolean has) {
        listings = has;
    }

    /** Whether the times of reads, listings and digests are kept for {@link #looksAhead}, from now on; /changes is none. */
    public synchronized void keepsLooks(boolean keeps) {
        keepsLooks = keeps;
        looks.clear();
        looksSince = System.nanoTime();
    }

    public synchronized int looks() {
        return looks.size();
    }

    /** How many reads, listings and digests came sooner than a rate allows, counted from when they were kept. */
    public synchronized int looksAhead(double perSecond) {
        int ahead = 0;
        int n = 0;
        for (long look : looks) {
            if (look - looksSince < n++ * 1e9 / perSecond) {
                ahead++;
            }
        }
        return ahead;
    }

    public void apiKey(String key) {
        apiKey = key;
    }

    /** Each answer goes through it; null ends it. */
    public void distort(Distortion with) {
        distortion = with;
    }

    /** A gateway knows nothing of the paths that begin so, and answers itself; null: it knows them again. */
    public void lose(String path) {
        lost = path;
    }

    /** Whether each write is remembered for {@link #writes}; benchmarks have too many. */
    public void keepsWrites(boolean keeps) {
        keepsWrites = keeps;
    }

    /** Tells each write to the watcher, in the order in which they are judged; null ends it. */
    public void watch(Watcher told) {
        watcher = told;
    }

    // -- the oracle

    public synchronized List<Write> writes() {
        return List.copyOf(writes);
    }

    /** What a record became, from its beginning. */
    public synchronized List<Became> became(String entity, String id) {
        return became.stream()
                .filter(one -> one.entity().equals(entity) && one.id().equals(id))
                .toList();
    }

    /** Writes that changed nothing. */
    public int echoes() {
        return echoes.get();
    }

    /** Writes of a version older than one that was applied. */
    public int backwards() {
        return backwards.get();
    }

    /**
     * Writes of a record while another of it was under way. One that is asked for once more, by its idempotency key, is
     * none: whose connection ended can't know that the first is still being worked, and there is but one effect.
     */
    public List<AtOnce> concurrent() {
        return List.copyOf(concurrent);
    }

    /** Idempotency keys that came with another body or guard, each with both. */
    public List<String> violations() {
        return List.copyOf(violations);
    }

    /** Calls that a switch made to fail, or whose answer it spoilt. */
    public int failed() {
        return failed.get();
    }

    /** Calls of /changes while another of the same entity was under way. */
    public int pollsAtOnce() {
        return pollsAtOnce.get();
    }

    public int requests() {
        return requests.get();
    }

    /** When the last write arrived, by {@link System#nanoTime}. */
    public long lastWrite() {
        return lastWrite.get();
    }

    // -- the API

    private void handle(HttpExchange exchange) throws IOException {
        long arrived = System.nanoTime();
        requests.incrementAndGet();
        try (exchange) {
            String path = exchange.getRequestURI().getPath();
            byte[] body = exchange.getRequestBody().readAllBytes();
            if (path.startsWith("/__sandbox/")) {
                control(exchange, path.substring("/__sandbox/".length()), body);
                return;
            }
            if (always != null) {
                failed.incrementAndGet();
                if (always == 429) {
                    exchange.getResponseHeaders().set("Retry-After", "1");
                }
                answer(exchange, always, message(always, "by a switch"));
                return;
            }
            if (!("Bearer " + apiKey).equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
                answer(exchange, 401, message(401, "bad or expired key"));
                return;
            }
            String unknown = lost;
            if (unknown != null && path.startsWith(unknown)) {
                failed.incrementAndGet();
                answer(exchange, 404, JSON.createObjectNode().put("message", "no Route matched with those values"));
                return;
            }
            Object fault = null;
            boolean write = exchange.getRequestMethod().equals("POST");
            if (write) {
                lastWrite.set(arrived);
                // a path that isn't there has no way of failing
                if (batches || !path.endsWith("/batch")) {
                    synchronized (this) {
                        fault = faults.poll();
                    }
                }
            }
            if (fault != null) {
                failed.incrementAndGet();
            }
            if (fault == Fault.RESET) {
                return;
            }
            if (fault == Fault.HTML) {
                raw(
                        exchange,
                        200,
                        "text/html",
                        "<html><body>Bad gateway</body></html>".getBytes(StandardCharsets.UTF_8));
                return;
            }
            if (fault == Fault.CUT) {
                raw(exchange, 200, "application/json", "{\"results\":[{\"id\":".getBytes(StandardCharsets.UTF_8));
                return;
            }
            if (fault instanceof Integer status) {
                exchange.getResponseHeaders().set("Retry-After", "1");
                answer(exchange, status, message(status, "by a switch"));
                return;
            }
            JsonNode json = write ? parse(body) : null;
            if (write && json == null) {
                answer(exchange, 400, message(400, "malformed"));
                return;
            }
            Object[] result = write ? post(exchange, path, json, arrived) : get(exchange, path);
            if (fault == Fault.APPLIED_THEN_RESET) {
                return;
            }
            Distortion with = distortion;
            if (with != null) {
                failed.incrementAndGet();
                raw(exchange, (Integer) result[0], "application/json", with.of(path, JSON.writeValueAsBytes((JsonNode)
                        result[1])));
                return;
            }
            answer(exchange, (Integer) result[0], (JsonNode) result[1]);
        } catch (RuntimeException e) {
            answer(exchange, 500, message(500, String.valueOf(e)));
        }
    }

    private static JsonNode parse(byte[] body) {
        try {
            return JSON.readTree(body);
        } catch (IOException e) {
            return null;
        }
    }

    private static Object[] result(int status, JsonNode body) {
        return new Object[] {status, body};
    }

    private static String entity(String path) {
        for (String entity : KEYS.keySet()) {
            if (path.equals("/sync_" + entity + "_data") || path.equals("/sync_" + entity + "_data/batch")) {
                return entity;
            }
        }
        return null;
    }

    private Object[] post(HttpExchange exchange, String path, JsonNode json, long arrived) {
        String entity = entity(path);
        boolean batch = path.endsWith("/batch");
        if (entity == null || batch && !batches) {
            return result(404, message(404, "no such path"));
        }
        if (batch && json.path("items").size() > 200) {
            return result(400, message(400, "at most 200 items"));
        }
        // a record is under way from its request's arrival until all of it is done
        List<UnderWay> begun = new ArrayList<>();
        for (JsonNode item : batch ? json.path("items") : List.of(json)) {
            String key = batch
                    ? item.path("idempotency_key").asText()
                    : String.valueOf(exchange.getRequestHeaders().getFirst("Idempotency-Key"));
            begun.add(new UnderWay(entity + '/' + item.path(KEYS.get(entity)).asText(), key, System.nanoTime()));
        }
        begun.forEach(this::begins);
        try {
            held.await();
            return batch ? writes(entity, json, arrived) : write(exchange, entity, json, arrived);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return result(503, message(503, "closing"));
        } finally {
            begun.forEach(write -> underWay.computeIfPresent(write.record, (record, known) -> {
                known.remove(write);
                return known.isEmpty() ? null : known;
            }));
        }
    }

    private void begins(UnderWay write) {
        underWay.compute(write.record, (record, known) -> {
            List<UnderWay> writes = known == null ? new ArrayList<>() : known;
            for (UnderWay other : writes) {
                if (!other.key.equals(write.key)) {
                    concurrent.add(
                            new AtOnce(record, other.key, write.key, Duration.ofNanos(write.since - other.since)));
                }
            }
            writes.add(write);
            return writes;
        });
    }

    private Object[] writes(String entity, JsonNode json, long arrived) {
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode results = answer.putArray("results");
        for (JsonNode item : json.path("items")) {
            String id = item.path(KEYS.get(entity)).asText();
            JsonNode match = item.path("if_match");
            ObjectNode one = write(
                    entity,
                    id,
                    item.path("data"),
                    item.path("idempotency_key").asText(null),
                    match.isNull() ? "*none" : match.isMissingNode() ? null : match.asText(),
                    arrived);
            one.put("id", id);
            results.add(one);
        }
        return result(200, answer);
    }

    private Object[] write(HttpExchange exchange, String entity, JsonNode json, long arrived) {
        String match = exchange.getRequestHeaders().getFirst("If-Match");
        String none = exchange.getRequestHeaders().getFirst("If-None-Match");
        ObjectNode one = write(
                entity,
                json.path(KEYS.get(entity)).asText(),
                json.path("data"),
                exchange.getRequestHeaders().getFirst("Idempotency-Key"),
                none != null ? "*none" : match == null ? null : match.replace("\"", ""),
                arrived);
        int code = one.path("code").asInt();
        return result(code == 0 ? 200 : code, one);
    }

    private synchronized ObjectNode write(
            String entity, String id, JsonNode data, String key, String guard, long arrived) {
        boolean again = key != null && journal.containsKey(key);
        ObjectNode answer = judge(entity, id, data, key, guard);
        Watcher told = watcher;
        if (keepsWrites || told != null) {
            Write write = new Write(entity, id, key, data, answer.path("code").asInt(), again);
            if (keepsWrites) {
                writes.add(write);
            }
            if (told != null) {
                told.written(write, arrived);
            }
        }
        return answer;
    }

    private ObjectNode judge(String entity, String id, JsonNode data, String key, String guard) {
        String request = guard + data;
        Answered former = key == null ? null : journal.get(key);
        if (former != null) {
            if (!former.request().equals(request)) {
                violations.add(key + ": " + former.request() + ", then " + request);
                return message(422, "this key was used for another write");
            }
            return former.answer().deepCopy();
        }
        Integer refused = refusals.get(entity + '/' + id);
        if (refused != null) {
            return message(refused, "refused by the shop's risk control").put("field", "status");
        }
        if (id.isEmpty() || !data.isObject()) {
            return message(422, "id and data are needed").put("field", "data");
        }
        Item item = of(entity).get(id);
        if (guard != null && guard.equals("*none") && item != null) {
            return message(409, "it is there already").put("updated_at", item.updatedAt);
        }
        if (guard != null && !guard.equals("*none") && (item == null || !item.updatedAt.equals(guard))) {
            return message(409, "it holds something newer").put("updated_at", item == null ? null : item.updatedAt);
        }
        Item target = item == null ? new Item(JSON.createObjectNode()) : item;
        JsonNode before = shown(target).deepCopy();
        apply(target, (ObjectNode) data);
        of(entity).put(id, target);
        if (item != null && before.equals(shown(target))) {
            echoes.incrementAndGet();
        }
        version(entity, id, key);
        touch(entity, id, target);
        became(entity, id, key, target);
        ObjectNode answer = JSON.createObjectNode().put("code", 0).put("updated_at", target.updatedAt);
        if (key != null) {
            journal.put(key, new Answered(request, answer));
        }
        return answer.deepCopy();
    }

    private void version(String entity, String id, String key) {
        if (key == null) {
            return;
        }
        String text = key.substring(key.lastIndexOf('/') + 1);
        long version = Long.parseLong(text.contains(".") ? text.substring(0, text.indexOf('.')) : text);
        Long former = versions.get(entity + '/' + id);
        if (former != null && former > version) {
            backwards.incrementAndGet();
        } else {
            versions.put(entity + '/' + id, version);
        }
    }

    private Object[] get(HttpExchange exchange, String path) {
        Map<String, String> query = query(exchange.getRequestURI().getRawQuery());
        String[] parts = path.substring(1).split("/", 2);
        if (path.equals("/changes")) {
            boolean alone = polled.add(String.valueOf(query.get("entity")));
            if (!alone) {
                pollsAtOnce.incrementAndGet();
            }
            try {
                return result(200, changes(query));
            } finally {
                if (alone) {
                    polled.remove(String.valueOf(query.get("entity")));
                }
            }
        }
        if (keepsLooks) {
            synchronized (this) {
                looks.add(System.nanoTime());
            }
        }
        if (parts[0].equals("digests") && digests) {
            int buckets = Integer.parseInt(query.getOrDefault("buckets", "1024"));
            String entity = query.get("entity");
            return result(
                    200,
                    parts.length == 1
                            ? digests(entity, buckets)
                            : digests(entity, buckets, Integer.parseInt(parts[1])));
        }
        for (String entity : KEYS.keySet()) {
            if (parts[0].equals(entity + "s")) {
                if (parts.length == 1) {
                    return listings ? result(200, list(entity, query)) : result(404, message(404, "no such path"));
                }
                synchronized (this) {
                    Item item = of(entity).get(parts[1]);
                    return item == null
                            ? result(404, message(404, "unknown " + entity))
                            : result(200, entry(parts[1], item));
                }
            }
        }
        return result(404, JSON.valueToTree("no such path"));
    }

    private synchronized ObjectNode changes(Map<String, String> query) {
        String entity = query.getOrDefault("entity", "user");
        long after = Long.parseLong(query.getOrDefault("after", "0"));
        int limit = Math.min(1000, Integer.parseInt(query.getOrDefault("limit", "500")));
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode list = answer.putArray("items");
        long next = after;
        for (Map.Entry<Long, String> change : changes.computeIfAbsent(entity, e -> new TreeMap<>())
                .tailMap(after, false)
                .entrySet()) {
            if (list.size() >= limit) {
                break;
            }
            list.add(entry(change.getValue(), of(entity).get(change.getValue())));
            next = change.getKey();
        }
        answer.put("next", String.valueOf(next));
        return answer;
    }

    private synchronized ObjectNode list(String entity, Map<String, String> query) {
        int limit = Math.min(1000, Integer.parseInt(query.getOrDefault("limit", "500")));
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode list = answer.putArray("items");
        String next = null;
        for (Map.Entry<String, Item> item :
                of(entity).tailMap(query.getOrDefault("after", ""), false).entrySet()) {
            if (list.size() == limit) {
                break;
            }
            list.add(entry(item.getKey(), item.getValue()));
            next = item.getKey();
        }
        answer.put("next", list.size() < limit ? null : next);
        return answer;
    }

    private synchronized ArrayNode digests(String entity, int count) {
        if (count != BUCKETS) {
            throw new IllegalArgumentException("this sandbox has " + BUCKETS + " buckets");
        }
        Buckets all = bucketsOf(entity);
        ArrayNode answer = JSON.createArrayNode();
        for (int bucket = 0; bucket < BUCKETS; bucket++) {
            TreeMap<String, Item> records = all.records.get(bucket);
            if (records.isEmpty()) {
                continue;
            }
            if (all.digests[bucket] == null) {
                StringBuilder lines = new StringBuilder();
                records.forEach((id, item) ->
                        lines.append(id).append(' ').append(item.digest).append('\n'));
                all.digests[bucket] = sha(lines.toString());
            }
            answer.addObject()
                    .put("bucket", bucket)
                    .put("count", records.size())
                    .put("digest", all.digests[bucket]);
        }
        return answer;
    }

    private synchronized ArrayNode digests(String entity, int count, int bucket) {
        if (count != BUCKETS) {
            throw new IllegalArgumentException("this sandbox has " + BUCKETS + " buckets");
        }
        ArrayNode answer = JSON.createArrayNode();
        bucketsOf(entity).records.get(bucket).forEach((id, item) -> answer.addObject()
                .put("id", id)
                .put("digest", item.digest));
        return answer;
    }

    private Buckets bucketsOf(String entity) {
        return buckets.computeIfAbsent(entity, e -> new Buckets());
    }

    /** The record was changed, or, with null, removed. */
    private void place(String entity, String id, Item item) {
        if (item != null) {
            item.digest = digest(id, item);
        }
        place(entity, bucket(id), id, item);
    }

    private void place(String entity, int bucket, String id, Item item) {
        Buckets all = bucketsOf(entity);
        all.digests[bucket] = null;
        if (item == null) {
            all.records.get(bucket).remove(id);
        } else {
            all.records.get(bucket).put(id, item);
        }
    }

    private static String digest(String id, Item item) {
        ObjectNode record = JSON.createObjectNode();
        record.put("id", id).put("deleted", item.deleted).set("data", item.data);
        StringBuilder canonical = new StringBuilder();
        canonical(record, canonical);
        return sha(canonical.toString());
    }

    /** RFC 8785 for what these records hold: keys sorted, numbers as ECMAScript writes them. */
    private static void canonical(JsonNode node, StringBuilder out) {
        if (node.isObject()) {
            List<Map.Entry<String, JsonNode>> sorted = new ArrayList<>(node.properties());
            sorted.sort(Map.Entry.comparingByKey());
            out.append('{');
            String separator = "";
            for (Map.Entry<String, JsonNode> member : sorted) {
                out.append(separator);
                quoted(member.getKey(), out);
                out.append(':');
                canonical(member.getValue(), out);
                separator = ",";
            }
            out.append('}');
        } else if (node.isArray()) {
            out.append('[');
            for (int i = 0; i < node.size(); i++) {
                out.append(i == 0 ? "" : ",");
                canonical(node.get(i), out);
            }
            out.append(']');
        } else if (node.isNumber()) {
            BigDecimal number = node.decimalValue().stripTrailingZeros();
            out.append(number.signum() == 0 ? "0" : number.toPlainString());
        } else if (node.isTextual()) {
            quoted(node.textValue(), out);
        } else {
            out.append(node);
        }
    }

    private static void quoted(String text, StringBuilder out) {
        out.append('"');
        JsonStringEncoder.getInstance().quoteAsString(text, out);
        out.append('"');
    }

    private static int bucket(String id) {
        byte[] hash = hash(id);
        long head = (hash[0] & 0xffL) << 24 | (hash[1] & 0xffL) << 16 | (hash[2] & 0xffL) << 8 | hash[3] & 0xffL;
        return (int) (head % BUCKETS);
    }

    private static byte[] hash(String text) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String sha(String text) {
        return java.util.HexFormat.of().formatHex(hash(text));
    }

    /** For people: POST /__sandbox/edit/<entity>/<id> with fields, /__sandbox/allow/<entity>/<id>, /__sandbox/refuse/… */
    private void control(HttpExchange exchange, String path, byte[] body) throws IOException {
        String[] parts = path.split("/", 3);
        if (parts.length < 3 || !KEYS.containsKey(parts[1])) {
            answer(exchange, 404, message(404, "edit|allow|refuse/<entity>/<id>"));
            return;
        }
        switch (parts[0]) {
            case "edit" -> {
                JsonNode fields = parse(body);
                if (fields == null || !fields.isObject()) {
                    answer(exchange, 400, message(400, "write a JSON object with the fields to set"));
                    return;
                }
                Map<String, JsonNode> map = new HashMap<>();
                fields.properties().forEach(field -> map.put(field.getKey(), field.getValue()));
                edit(parts[1], parts[2], map);
            }
            case "allow" -> allow(parts[1], parts[2]);
            case "refuse" -> refuse(parts[1], parts[2], 422);
            default -> {
                answer(exchange, 404, message(404, "edit|allow|refuse/<entity>/<id>"));
                return;
            }
        }
        JsonNode now = read(parts[1], parts[2]);
        answer(exchange, 200, now == null ? JSON.createObjectNode() : now);
    }

    /** The order of the UTF-8 bytes, which is that of the code points. */
    private static int byBytes(String a, String b) {
        int length = Math.min(a.length(), b.length());
        for (int i = 0; i < length; i++) {
            char one = a.charAt(i);
            char other = b.charAt(i);
            if (one != other) {
                boolean pairs = Character.isSurrogate(one) != Character.isSurrogate(other);
                return pairs ? (Character.isSurrogate(one) ? 1 : -1) : one - other;
            }
        }
        return a.length() - b.length();
    }

    private TreeMap<String, Item> of(String entity) {
        return items.computeIfAbsent(entity, e -> new TreeMap<>(BY_BYTES));
    }

    private static void apply(Item item, ObjectNode values) {
        values.properties().forEach(field -> {
            if (field.getKey().equals("deleted")) {
                item.deleted = field.getValue().asBoolean();
            }
            if (field.getValue().isNull()) {
                item.data.remove(field.getKey());
            } else {
                item.data.set(field.getKey(), field.getValue());
            }
        });
    }

    private void touch(String entity, String id, Item item) {
        Instant now = Instant.now().truncatedTo(java.time.temporal.ChronoUnit.MICROS);
        last = now.isAfter(last) ? now : last.plusNanos(1000);
        item.updatedAt = MICROS.format(last);
        TreeMap<Long, String> log = changes.computeIfAbsent(entity, e -> new TreeMap<>());
        log.remove(item.sequence);
        item.sequence = ++sequence;
        log.put(item.sequence, id);
        place(entity, id, item);
    }

    private static JsonNode shown(Item item) {
        ObjectNode shown = JSON.createObjectNode();
        shown.setAll(item.data);
        return shown.put("deleted", item.deleted);
    }

    private static ObjectNode entry(String id, Item item) {
        ObjectNode entry = JSON.createObjectNode();
        entry.put("id", id);
        entry.set("data", item.data.deepCopy());
        entry.put("updated_at", item.updatedAt);
        entry.put("deleted", item.deleted);
        return entry;
    }

    private static ObjectNode message(int code, String text) {
        return JSON.createObjectNode().put("code", code).put("message", text);
    }

    private static Map<String, String> query(String raw) {
        Map<String, String> query = new HashMap<>();
        for (String pair : Objects.requireNonNullElse(raw, "").split("&")) {
            int equals = pair.indexOf('=');
            if (equals > 0) {
                query.put(
                        pair.substring(0, equals),
                        URLDecoder.decode(pair.substring(equals + 1), StandardCharsets.UTF_8));
            }
        }
        return query;
    }

    private static void answer(HttpExchange exchange, int status, JsonNode body) throws IOException {
        raw(exchange, status, "application/json", JSON.writeValueAsBytes(body));
    }

    private static void raw(HttpExchange exchange, int status, String type, byte[] body) throws IOException {
        exchange.getResponseHeaders().set("Content-Type", type);
        exchange.getResponseHeaders().set("Date", DATE.format(Instant.now()));
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        exchange.getResponseBody().write(body);
    }
}
