package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.proof.Anomaly;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/** Many orders at both ends: what is damaged is found and mended, and nothing else is. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class VerificationTest {

    private static final int ORDERS = Integer.getInteger("verification.orders", 20_000);
    private static final int DELETED = ORDERS / 100;

    private static Shop shop;

    @BeforeAll
    static void load() {
        shop = new Shop("ver-");
        shop.load(ORDERS, DELETED);
    }

    @AfterAll
    static void end() {
        shop.close();
    }

    private static List<Integer> dead(int from, int count) {
        List<Integer> numbers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            numbers.add(ORDERS - DELETED + from + i);
        }
        return numbers;
    }

    @Test
    @Order(1)
    void whereNothingDiffersNothingIsFound() {
        long run = shop.begin("none");
        JsonNode told = shop.ended(run, "done");
        assertThat(shop.found(run)).isEmpty();
        assertThat(told.path("compared").asLong()).isGreaterThanOrEqualTo(ORDERS);
        assertThat(told.path("unverified").asLong()).isZero();
    }

    @Test
    @Order(2)
    @Anomaly({Anomaly.Of.A16, Anomaly.Of.A17})
    void tenOfEveryKindAreFoundAndMended() {
        Set<String> planted = shop.plant(130, 1000, dead(1, 20));
        long run = shop.begin("none");
        JsonNode told = shop.ended(run, "done");
        assertThat(shop.found(run)).containsExactlyInAnyOrderElementsOf(planted);

        long repair = shop.begin("plan");
        shop.ended(repair, "waiting_for_approval");
        shop.post("/verifications/" + repair + "/approve", "");
        told = shop.ended(repair, "done");
        assertThat(told.path("repaired").asLong()).isEqualTo(planted.size());
        shop.settled();
        assertThat(shop.unequal()).isEmpty();
    }

    @Test
    @Order(3)
    @Anomaly({Anomaly.Of.A17, Anomaly.Of.A18})
    void tenThousandAreFoundAndMendedWhileEditsGoOnAndTheRunnerIsCutOff() throws Exception {
        Set<String> planted = shop.plant(ORDERS / 10, 2000, dead(100, 80));
        AtomicBoolean stop = new AtomicBoolean();
        Map<String, String> edited = new ConcurrentHashMap<>();
        Thread edits = new Thread(() -> edit(stop, edited), "edits");
        edits.start();
        try {
            long run = shop.begin("none");
            shop.ended(run, "done");
            Set<String> found = shop.found(run);
            Set<String> missed = new TreeSet<>(planted);
            missed.removeAll(found);
            Set<String> falsely = new TreeSet<>(found);
            falsely.removeAll(planted);
            assertThat(missed).as("missed").isEmpty();
            assertThat(falsely).as("false alarms").isEmpty();

            // so many are mended only when somebody has said so
            long repair = shop.begin("apply");
            JsonNode told = shop.ended(repair, "waiting_for_approval");
            assertThat(told.path("told").path("why").asText()).contains("more than");
            shop.post("/verifications/" + repair + "/approve", "");
            // as if the instance had died between two steps: whoever takes the run over goes on from what is stored
            for (int i = 0; i < 10; i++) {
                long before =
                        shop.get("/verifications/" + repair).path("repaired").asLong();
                shop.app.update("update sync.verification_run set turn = turn + 1 where run = ?", repair);
                await().atMost(Duration.ofSeconds(60)).until(() -> {
                    JsonNode now = shop.get("/verifications/" + repair);
                    return now.path("repaired").asLong() > before
                            || now.path("state").asText().equals("done");
                });
            }
            told = shop.ended(repair, "done");
            // where an edit came first the record was read for it, and there was nothing left to mend
            assertThat(told.path("repaired").asLong()).isBetween(planted.size() / 2L, (long) planted.size());
            assertThat(told.path("unverified").asLong()).isZero();
            assertThat(shop.app.queryForList(
                            "select state from sync.verification_difference where run = ? and state not in ('repaired', 'superseded')",
                            String.class,
                            repair))
                    .isEmpty();
        } finally {
            stop.set(true);
            edits.join();
        }
        await().atMost(Duration.ofMinutes(2))
                .pollInterval(Duration.ofSeconds(1))
                .untilAsserted(() -> {
                    shop.settled();
                    assertThat(shop.unequal()).isEmpty();
                });
        // no edit is lost, and the damaged values can still be seen
        edited.forEach((id, number) -> assertThat(shop.mini
                        .read("order", id)
                        .path("shipping_info")
                        .path("tracking_number")
                        .asText())
                .isEqualTo(number));
        assertThat(shop.app.queryForObject(
                        "select count(*) from sync.history where kind = 'repaired' and fields::text like '%forged%'",
                        Long.class))
                .isGreaterThan(0);
        long again = shop.begin("none");
        shop.ended(again, "done");
        assertThat(shop.found(again)).isEmpty();
    }

    /** About 500 changes a second to orders that nobody has damaged. */
    private static void edit(AtomicBoolean stop, Map<String, String> edited) {
        int from = ORDERS / 2;
        ThreadLocalRandom random = ThreadLocalRandom.current();
        for (long n = 0; !stop.get(); n++) {
            List<Object[]> rows = new ArrayList<>();
            for (int i = 0; i < 50; i++) {
                String id = shop.id(from + random.nextInt(ORDERS / 4));
                String number = "T" + n + '-' + i;
                rows.add(new Object[] {number, id});
                edited.put(id, number);
            }
            shop.app.batchUpdate(
                    "update orders set tracking_number = ?, updated_at = clock_timestamp() where order_id = ?", rows);
            LockSupport.parkNanos(100_000_000);
        }
    }

    @Test
    @Order(4)
    void aBackendWithoutDigestsIsListedAndOneWithoutListingIsReadWithinItsBudget() {
        Ends ends = shop.neighbours.service().getBean(Ends.class);
        List<String> some = new ArrayList<>();
        for (int i = 0; i < 120; i++) {
            some.add('"' + shop.id(90 + i) + '"');
        }
        shop.mini.digests(false);
        try {
            shop.mini.tamper("order", shop.id(100), Map.of("status", "paid"));
            shop.mini.tamper(
                    "order", shop.prefix + "unknown", Map.of("user_id", "u", "status", "paid", "payment_amount", 1));
            long listed = shop.begin("none");
            JsonNode told = shop.ended(listed, "done");
            assertThat(told.path("told").path("by_mini").asText()).isEqualTo("listing");
            assertThat(shop.found(listed))
                    .containsExactly("mini status_back " + shop.id(100), "mini surplus " + shop.prefix + "unknown");

            shop.mini.listings(false);
            shop.mini.keepsLooks(true);
            ends.pace(50);
            long run = shop.post("/verifications", "{\"entity\":\"order\",\"ids\":" + some + "}")
                    .path("run")
                    .asLong();
            shop.ended(run, "done");
            assertThat(shop.found(run)).containsExactly("mini status_back " + shop.id(100));
            assertThat(shop.mini.looks()).isGreaterThanOrEqualTo(some.size());
            assertThat(shop.mini.looksAhead(50)).isZero();

            // all of them take too long at that rate: the run is stopped, and says what it can't see
            long all = shop.begin("none");
            await().atMost(Duration.ofSeconds(60))
                    .until(() -> shop.get("/verifications/" + all).path("told").has("unseen_mini"));
            assertThat(shop.get("/verifications/" + all)
                            .path("told")
                            .path("by_mini")
                            .asText())
                    .isEqualTo("single reads");
            shop.post("/verifications/" + all + "/cancel", "");
            shop.ended(all, "stopped");
            assertThat(shop.mini.looksAhead(50)).isZero();
        } finally {
            shop.mini.keepsLooks(false);
            shop.mini.digests(true);
            shop.mini.listings(true);
            ends.pace(3000);
            shop.mini.remove("order", shop.prefix + "unknown");
            shop.mini.tamper("order", shop.id(100), Map.of("status", "shipped"));
        }
    }

    @Test
    @Order(5)
    void aMassDeletionThatTheSweepHoldsBackIsFoundAndUndone() {
        int gone = ORDERS / 400 + 150;
        shop.app.update(
                "delete from orders where order_id in (select ? || i from generate_series(?, ?) i)",
                shop.prefix,
                501,
                500 + gone);
        long run = shop.begin("plan");
        JsonNode told = shop.ended(run, "waiting_for_approval");
        assertThat(told.path("differences").path("missing").asInt()).isEqualTo(gone);
        shop.post("/verifications/" + run + "/approve", "");
        assertThat(shop.ended(run, "done").path("repaired").asInt()).isEqualTo(gone);
        assertThat(shop.unequal()).isEmpty();
    }

    @Test
    @Order(6)
    void aRunIsPausedGoneOnWithAndRefusesWhatItCantDo() {
        assertThat(shop.post("/verifications", "{\"entity\":\"thing\"}")
                        .path("status")
                        .asInt())
                .isEqualTo(422);
        assertThat(shop.post("/verifications", "{\"entity\":\"order\",\"repair\":\"all\"}")
                        .path("errors")
                        .path(0)
                        .path("pointer")
                        .asText())
                .isEqualTo("/repair");
        assertThat(shop.get("/verifications/999999").path("status").asInt()).isEqualTo(404);
        long run = shop.begin("none");
        assertThat(shop.post("/verifications/" + run + "/pause", "")
                        .path("paused")
                        .asBoolean())
                .isTrue();
        assertThat(shop.post("/verifications/" + run + "/approve", "")
                        .path("status")
                        .asInt())
                .isEqualTo(409);
        shop.post("/verifications/" + run + "/resume", "");
        shop.ended(run, "done");
        assertThat(shop.get("/verifications").path("items").path(0).path("run").asLong())
                .isEqualTo(run);
    }
}
