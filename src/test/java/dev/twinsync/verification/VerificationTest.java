package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.proof.Anomaly;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.RowCallbackHandler;

/**
 * Very many orders at both ends of a service that is a process of its own: what is damaged is found and mended, and
 * nothing else is, while both ends go on and the service is killed.
 */
class VerificationTest {

    private static final Map<String, String> USUAL = Map.of();

    /**
     * An API that has little, and may be asked little; what users hold by hand is believed.
     *
     * @param longest seconds in which a run gets through the app's side, and not through all records of the API
     */
    private static Map<String, String> poor(long longest) {
        return Map.of(
                "VERIFY_MINI_CALLS_PER_SECOND", "50",
                "TWINSYNC_VERIFICATION_LONGEST", longest + "s",
                "TWINSYNC_VERIFICATION_DAMAGE_USER_FIELD", "adopt",
                "TWINSYNC_VERIFICATION_REPAIR_USER_MISSING", "report");
    }

    private Shop shop;
    private World world;
    private int orders;
    private int deleted;

    /** As many are damaged at once in every form of this test. */
    private static final int MANY = 10_000;

    /** Edits a second, at both ends together. */
    private static final int RATE = 500;

    @Test
    @Anomaly({Anomaly.Of.A16, Anomaly.Of.A17, Anomaly.Of.A18})
    void ordersAreVerifiedAndMendedThroughAKill() throws Exception {
        all(Integer.getInteger("verification.orders", 100_000), 1);
    }

    @Test
    @Tag("proof")
    void aHundredThousandAreVerifiedAndMendedThroughThreeKills() throws Exception {
        all(Integer.getInteger("verification.many", 100_000), 3);
    }

    @Test
    @Tag("proof")
    void aMillionOrdersAreVerifiedAndMendedThroughTenKills() throws Exception {
        all(Integer.getInteger("verification.million", 1_000_000), 10);
    }

    private void all(int count, int kills) throws Exception {
        orders = count;
        deleted = count / 100;
        try (World made = new World("verify" + count)) {
            world = made;
            world.start(USUAL);
            shop = new Shop("ver-", world);
            shop.captured();
            shop.sampled();
            timed("filled", () -> {
                shop.load(orders, deleted, true);
                return null;
            });
            idle();
            underLoad(kills);
            System.out.printf(
                    "%,d orders: %d MiB of a service's heap left after a collection, at most%n", count, world.heap());
            for (World.Service service : world.services()) {
                service.kill();
            }
            // young code on a busy machine takes longer than the whole run did
            world.start(poor(10 + 2 * whole.toSeconds()));
            aBackendWithLittle();
        }
    }

    // -- idle

    private void idle() {
        long run = shop.begin("none");
        JsonNode told = timed("idle, 0 planted", () -> shop.ended(run, "done"));
        assertThat(shop.found(run)).isEmpty();
        assertThat(told.path("told").path("by_mini").asText()).isEqualTo("digests");
        assertThat(told.path("compared").asLong()).isEqualTo(orders + Shop.SAMPLED);
        assertThat(told.path("unverified").asLong()).isZero();
        whole = Duration.between(time(told, "started_at"), time(told, "ended_at"));
        double once = onePass();
        tellRatio(told, once);
        double own = own();

        Set<String> planted = shop.plant(10, 1000, dead(1, 2));
        told = found("idle, 10 planted", planted);
        System.out.printf(
                "%,d orders: the mini-program's side took %d ms in %d calls, its own digests %.0f ms%n",
                orders,
                told.path("told").path("api_ms").asLong(),
                told.path("told").path("calls").asLong(),
                own);
        tellRatio(told, once);
        planted.addAll(shop.plant(MANY - planted.size(), 2000, dead(10, deleted / 2)));
        found("idle, " + MANY + " planted", planted);
        this.planted = planted;
    }

    private Set<String> planted;

    /** What a whole run takes. */
    private Duration whole;

    private JsonNode found(String what, Set<String> planted) {
        long run = shop.begin("none");
        JsonNode told = timed(what, () -> shop.ended(run, "done"));
        same(shop.found(run), planted);
        verified(told);
        return told;
    }

    /** All of it; while the ends go on, all but a few of the thousands that were edited, and those are called unverified. */
    private void verified(JsonNode told) {
        assertThat(told.path("unverified").asLong())
                .isLessThanOrEqualTo(atApp.isEmpty() ? 0 : Math.max(10, atApp.size() / 100));
    }

    private void same(Set<String> found, Set<String> planted) {
        Set<String> missed = new TreeSet<>(planted);
        missed.removeAll(found);
        Set<String> falsely = new TreeSet<>(found);
        falsely.removeAll(planted);
        // a record whose twin in its bucket was damaged may be edited too: it is read for the edit, before a run comes
        missed.removeIf(this::edited);
        assertThat(missed).as("missed").isEmpty();
        assertThat(falsely).as("false alarms").isEmpty();
    }

    private boolean edited(String difference) {
        String id = difference.substring(difference.lastIndexOf(' ') + 1);
        return atApp.containsKey(id) || atMini.containsKey(id);
    }

    private List<Integer> dead(int from, int count) {
        List<Integer> numbers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            numbers.add(orders - deleted + from + i);
        }
        return numbers;
    }

    private static Instant time(JsonNode run, String name) {
        return Instant.parse(run.path(name).asText());
    }

    /** Milliseconds of one pass over the app's tables that hashes them. */
    private double onePass() {
        String pass = """
                select md5(string_agg(md5(o::text || coalesce(i.rows, '')), '' order by o.order_id)) from orders o
                left join (select order_id, string_agg(i::text, '' order by line_no) as rows from order_items i group by 1) i
                using (order_id)""";
        shop.app.queryForObject(pass, String.class);
        long began = System.nanoTime();
        shop.app.queryForObject(pass, String.class);
        return (System.nanoTime() - began) / 1e6;
    }

    /** The cost of the app's side beside that. */
    private void tellRatio(JsonNode run, double once) {
        double table = run.path("told").path("table_ms").asDouble();
        System.out.printf(
                "%,d orders: the app's side took %.0f ms, %.1f times one pass that hashes the tables (%.0f ms)%n",
                orders, table, table / once, once);
    }

    /** Milliseconds in which the mini-program computes the digests of all its orders. */
    private double own() {
        long began = System.nanoTime();
        shop.mini.digest("order");
        return (System.nanoTime() - began) / 1e6;
    }

    private static <T> T timed(String what, Supplier<T> work) {
        long began = System.nanoTime();
        T done = work.get();
        System.out.printf("verification, %s: %.1f s%n", what, (System.nanoTime() - began) / 1e9);
        return done;
    }

    // -- while both ends go on

    private final Map<String, String> atApp = new ConcurrentHashMap<>();
    private final Map<String, String> atMini = new ConcurrentHashMap<>();

    private void underLoad(int kills) throws Exception {
        long seed = Long.getLong("twinsync.seed", System.nanoTime());
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        AtomicBoolean stop = new AtomicBoolean();
        CompletableFuture<Void> edits =
                CompletableFuture.runAsync(() -> edit(stop), work -> new Thread(work, "edits").start());
        long mending;
        try {
            long repair = shop.begin("apply");
            // comes up meanwhile, and stands by
            CompletableFuture<World.Service> other = another();
            JsonNode told = timed("under load, " + MANY + " planted", () -> shop.ended(repair, "waiting_for_approval"));
            same(shop.found(repair), planted);
            // so many are mended only when somebody has said so
            assertThat(told.path("told").path("why").asText()).contains("more than");
            other.join();
            shop.post("/verifications/" + repair + "/approve", "");
            long began = System.nanoTime();
            for (int kill = 1; kill <= kills; kill++) {
                long before = mended(repair);
                long until = before + 1 + random.nextInt(2 * MANY / (3 * kills));
                await().atMost(Duration.ofMinutes(5))
                        .pollInterval(Duration.ofMillis(20))
                        .until(() -> mended(repair) >= until || ended(repair));
                World.Service runner = runner();
                runner.kill();
                assertThat(ended(repair)).as("it was killed in the middle").isFalse();
                if (kill < kills) {
                    other = another();
                }
                // the one that stood by goes on with it
                assertThat(runner()).isNotSameAs(runner);
            }
            other.join();
            told = shop.ended(repair, "done");
            System.out.printf(
                    "verification, %d mended and %d killed: %.1f s%n",
                    told.path("repaired").asInt(), kills, (System.nanoTime() - began) / 1e9);
            // where an edit came first, the record was read for it and there was nothing left to mend
            assertThat(told.path("repaired").asLong()).isBetween(planted.size() / 2L, (long) planted.size());
            verified(told);
            assertThat(shop.app.queryForList("""
                            select state from sync.verification_difference
                            where run = ? and state not in ('repaired', 'superseded', 'unverified')""", String.class, repair)).isEmpty();
            if (kills > 1) {
                // in the daily run the next one tells of false alarms too
                found("under load, 0 planted", Set.of());
            }
            planted = shop.plant(10, 1000, List.of());
            // so few are mended unasked
            long few = shop.begin("apply");
            mending = few;
            told = timed("under load, 10 planted and mended", () -> shop.ended(few, "done"));
            Set<String> found = shop.found(mending);
            same(found, planted);
            assertThat(told.path("repaired").asInt()).isEqualTo(found.size());
            verified(told);
        } finally {
            stop.set(true);
        }
        edits.join();
        // no edit is lost
        await().atMost(Duration.ofMinutes(2))
                .pollInterval(Duration.ofMillis(500))
                .untilAsserted(() -> assertThat(lost()).isEmpty());
        shop.settled();
        assertThat(shop.unequal()).isEmpty();
        assertThat(atApp).hasSizeGreaterThan(1000);
        assertThat(atMini).hasSizeGreaterThan(100);
        // and the damaged values can still be seen, by the record and by the run
        assertThat(shop.app.queryForObject(
                        "select count(distinct id) from sync.history where kind = 'repaired' and fields::text like '%forged%'",
                        Long.class))
                .isGreaterThan(MANY / 30L);
        assertThat(shop.differences(mending))
                .filteredOn(difference -> difference.path("state").asText().equals("repaired"))
                .isNotEmpty()
                .allSatisfy(difference ->
                        assertThat(difference.path("fields").isEmpty()).isFalse());
        assertThat(shop.mini.backwards()).isZero();
        assertThat(shop.mini.violations()).isEmpty();
    }

    /** Edits that are not at the other end. */
    private List<String> lost() {
        List<String> lost = new ArrayList<>();
        atApp.forEach((id, number) -> {
            if (!number(id).equals(number)) {
                lost.add(id + ' ' + number);
            }
        });
        Map<String, String> titles = new HashMap<>();
        shop.app.query(
                "select order_id, title from order_items where title like 'M%'",
                (RowCallbackHandler) row -> titles.put(row.getString(1), row.getString(2)));
        atMini.forEach((id, title) -> {
            if (!title.equals(titles.get(id))) {
                lost.add(id + ' ' + title);
            }
        });
        return lost;
    }

    private CompletableFuture<World.Service> another() {
        return CompletableFuture.supplyAsync(() -> {
            try {
                return world.start(USUAL);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
    }

    /** Of the services that live the one that works the runs. */
    private World.Service runner() {
        return await().atMost(Duration.ofMinutes(5))
                .pollInterval(Duration.ofMillis(10))
                .until(world::runner, Optional::isPresent)
                .orElseThrow();
    }

    private long mended(long run) {
        Long count = shop.app.queryForObject(
                "select count(*) from sync.verification_difference where run = ? and state = 'repaired'",
                Long.class,
                run);
        return count == null ? 0 : count;
    }

    private boolean ended(long run) {
        return Boolean.TRUE.equals(shop.app.queryForObject(
                "select ended_at is not null from sync.verification_run where run = ?", Boolean.class, run));
    }

    /** Sets of edits that may be on their way at once, as many as are made in three seconds. */
    private static final int UNDER_WAY = 30;

    /**
     * Changes, nine of ten at the app, the others at the mini-program, of orders that nobody has damaged; where the machine
     * can't carry so many, as many as it can: what grows late without end is never quiet.
     */
    private void edit(AtomicBoolean stop) {
        ThreadLocalRandom random = ThreadLocalRandom.current();
        Map<String, String> underWay = new HashMap<>();
        long began = System.nanoTime();
        long next = began;
        long held = 0;
        long edits = 0;
        for (int n = 0; !stop.get(); n++) {
            underWay.entrySet().removeIf(first -> number(first.getKey()).equals(first.getValue()));
            if (underWay.size() == UNDER_WAY) {
                LockSupport.parkNanos(20_000_000);
                held += 20_000_000;
                next = Math.max(next, System.nanoTime());
                continue;
            }
            Map<String, String> numbers = new LinkedHashMap<>();
            // the first of a set tells when it has arrived: it is not edited again before
            String first = Stream.iterate(n, i -> i + 1)
                    .map(i -> shop.id(orders / 2 - i % (2 * UNDER_WAY)))
                    .filter(id -> !underWay.containsKey(id))
                    .findFirst()
                    .orElseThrow();
            numbers.put(first, "T" + n);
            underWay.put(first, "T" + n);
            while (numbers.size() < RATE * 9 / 100) {
                numbers.put(shop.id(orders / 2 + 1 + random.nextInt(orders / 4 - 1)), "T" + n + '-' + numbers.size());
            }
            atApp.putAll(numbers);
            shop.app.update(
                    """
                    update orders o set tracking_number = u.number, updated_at = clock_timestamp()
                    from unnest(?::text[], ?::text[]) as u (id, number) where o.order_id = u.id""",
                    numbers.keySet().toArray(String[]::new),
                    numbers.values().toArray(String[]::new));
            for (int i = 0; i < RATE / 100; i++) {
                String id = shop.id(orders * 3 / 4 + random.nextInt(orders / 5));
                String title = "M" + n + '-' + i;
                shop.mini.edit(
                        "order",
                        id,
                        Map.of(
                                "items",
                                List.of(Map.of(
                                        "line_no", 1, "sku", "s", "title", title, "quantity", 1, "unit_price", 2))));
                atMini.put(id, title);
            }
            edits += RATE / 10;
            next += 100_000_000;
            LockSupport.parkNanos(next - System.nanoTime());
        }
        double seconds = (System.nanoTime() - began) / 1e9;
        System.out.printf(
                "%.0f changes a second; for %.0f of %.0f s those before were waited for%n",
                edits / seconds, held / 1e9, seconds);
    }

    /** The tracking number of an order at the mini-program. */
    private String number(String id) {
        return shop.mini
                .read("order", id)
                .path("shipping_info")
                .path("tracking_number")
                .asText();
    }

    // -- a backend that has less than its contract, and may be asked 50 times a second

    private void aBackendWithLittle() {
        shop.app.update(
                "insert into users (user_id, nickname) select 'ver-' || n, '小' || n from generate_series(1, 60) n");
        await().atMost(Duration.ofMinutes(2)).until(() -> shop.mini.all("user").size() == 60);
        shop.echoed("user");
        shop.mini.tamper("user", "ver-unknown", Map.of("nickname", "无"));
        shop.mini.tamper("user", "ver-7", Map.of("nickname", "七"));
        shop.mini.remove("user", "ver-8");
        shop.mini.keepsLooks(true);

        shop.mini.digests(false);
        long listed = users("none");
        JsonNode told = shop.ended(listed, "done");
        assertThat(told.path("told").path("by_mini").asText()).isEqualTo("listing");
        assertThat(told.path("unverified").asLong()).isZero();
        assertThat(shop.found(listed))
                .containsExactly("mini field ver-7", "mini missing ver-8", "mini surplus ver-unknown");

        // all orders take too long at that rate: the run ends by itself, and says what it has not seen
        shop.mini.listings(false);
        long cut = shop.begin("none");
        told = timed("read one by one, cut off", () -> shop.ended(cut, "done"));
        assertThat(told.path("told").path("by_mini").asText()).isEqualTo("single reads");
        assertThat(told.path("told").path("unseen_mini").asText()).contains("there is no listing");
        assertThat(told.path("told").path("cut").asText()).contains("were not compared");
        // what was surplus and has been adopted is among them
        assertThat(told.path("records").asLong()).isGreaterThanOrEqualTo(orders + Shop.SAMPLED);
        assertThat(told.path("unverified").asLong())
                .isBetween(1L, told.path("records").asLong());

        // few enough are read to the end; the record that nobody knows can't be seen
        long run = users("apply");
        told = shop.ended(run, "done");
        assertThat(told.path("told").has("cut")).isFalse();
        assertThat(told.path("told").path("unseen_mini").asText()).contains("there is no listing");
        assertThat(told.path("unverified").asLong()).isZero();
        assertThat(shop.found(run)).containsExactly("mini field ver-7", "mini missing ver-8");
        // of one kind what was found is believed, the other is told and left
        await().atMost(Duration.ofMinutes(2)).until(() -> "七"
                .equals(shop.app.queryForObject("select nickname from users where user_id = 'ver-7'", String.class)));
        assertThat(told.path("repaired").asInt()).isEqualTo(1);
        assertThat(shop.mini.read("user", "ver-8")).isNull();

        assertThat(shop.mini.looks()).isGreaterThan(100);
        assertThat(shop.mini.looksAhead(50)).isZero();
    }

    private long users(String repair) {
        return shop.post("/verifications", "{\"entity\":\"user\",\"repair\":\"" + repair + "\"}")
                .path("run")
                .asLong();
    }
}
