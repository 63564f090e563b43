package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/** What is done about differences: planned, approved, overtaken, undone. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class RepairTest {

    private static final int ORDERS = 3000;
    private static final int DELETED = 30;

    private static Shop shop;

    @BeforeAll
    static void load() {
        shop = new Shop("rep-");
        shop.load(ORDERS, DELETED);
    }

    @AfterAll
    static void end() {
        shop.close();
    }

    private static long repaired(long run) {
        shop.post("/verifications/" + run + "/approve", "{\"reason\":\"looked at\"}");
        JsonNode told = shop.ended(run, "done");
        settled();
        return told.path("repaired").asLong();
    }

    private static void settled() {
        await().atMost(Duration.ofMinutes(2))
                .pollInterval(Duration.ofMillis(200))
                .untilAsserted(() -> {
                    shop.settled();
                    assertThat(shop.unequal()).isEmpty();
                });
    }

    private static String number(JsonNode order) {
        return order.path("shipping_info").path("tracking_number").asText();
    }

    private static String app(String column, String id) {
        return shop.app.queryForObject("select " + column + "::text from orders where order_id = ?", String.class, id);
    }

    @Test
    @Order(1)
    void onesOfEveryKindAreFoundByAServiceThatKnowsNoDigestPlannedMendedAndUndone() {
        Set<String> planted = shop.plant(30, 100, List.of(ORDERS - 3, ORDERS - 4, ORDERS - 5, ORDERS - 6));
        long run = shop.begin("plan");
        shop.ended(run, "waiting_for_approval");
        assertThat(shop.found(run)).containsExactlyInAnyOrderElementsOf(planted);
        // nothing is done yet
        assertThat(app("tracking_number", shop.id(100))).startsWith("forged");
        assertThat(repaired(run)).isEqualTo(planted.size());
        assertThat(app("tracking_number", shop.id(100))).isEqualTo("SF100");
        assertThat(shop.mini.read("order", shop.id(104)).path("payment_amount").decimalValue())
                .isEqualByComparingTo("1.04");
        assertThat(shop.mini.read("order", shop.id(106))).isNotNull();
        assertThat(shop.get("/orders/" + shop.id(101) + "/timeline")
                        .path("items")
                        .toString())
                .contains("repaired", "\"from\":\"paid\"");

        // what was found becomes true at both ends
        long undo = shop.post("/verifications/" + run + "/undo", "{\"reason\":\"they were right\"}")
                .path("run")
                .asLong();
        JsonNode told = shop.ended(undo, "done");
        assertThat(told.path("origin").asText()).isEqualTo("undo");
        assertThat(told.path("undoes").asLong()).isEqualTo(run);
        assertThat(told.path("repaired").asLong()).isEqualTo(planted.size());
        settled();
        assertThat(number(shop.mini.read("order", shop.id(100)))).startsWith("forged");
        assertThat(shop.mini.read("order", shop.id(101)).path("status").asText())
                .isEqualTo("paid");
        assertThat(app("payment_amount", shop.id(104))).isEqualTo("99999.99");
        assertThat(app("status", shop.id(105))).isEqualTo("pending_payment");
        assertThat(app("deleted", shop.id(106))).as("it was missing").isEqualTo("true");
        assertThat(app("deleted", shop.id(107))).isEqualTo("true");
        assertThat(planted.stream().filter(p -> p.contains("surplus")).map(p -> p.substring(p.lastIndexOf(' ') + 1)))
                .isNotEmpty()
                .allSatisfy(id -> assertThat(app("deleted", id)).isEqualTo("true"));
        assertThat(planted.stream()
                        .map(p -> p.substring(p.lastIndexOf(' ') + 1))
                        .filter(id -> id.matches("rep-299[4-7]")))
                .hasSizeGreaterThan(1)
                .allSatisfy(id -> assertThat(app("deleted", id)).isEqualTo("false"));
        // it is undone once
        assertThat(shop.post("/verifications/" + run + "/undo", "")
                        .path("status")
                        .asInt())
                .isEqualTo(409);

        // and the undo can be undone, of one record too
        long redo = shop.post("/verifications/" + undo + "/undo", "{\"ids\":[\"" + shop.id(101) + "\"]}")
                .path("run")
                .asLong();
        assertThat(shop.ended(redo, "done").path("repaired").asLong()).isEqualTo(1);
        settled();
        assertThat(app("status", shop.id(101))).isEqualTo("shipped");
        assertThat(number(shop.mini.read("order", shop.id(100)))).startsWith("forged");
    }

    @Test
    @Order(2)
    void whatIsEditedBeforeItIsMendedOrUndoneStandsAsItWasEdited() {
        for (int n : new int[] {501, 502, 503}) {
            shop.mini.tamper("order", shop.id(n), Map.of("items", List.of()));
        }
        long run = shop.begin("plan");
        shop.ended(run, "waiting_for_approval");
        // the mini-program itself writes the damaged record: what it holds is its own edit now
        shop.mini.edit("order", shop.id(501), Map.of("status", "delivered"));
        settledWith(501, "delivered");
        assertThat(items(501)).isZero();
        shop.post("/verifications/" + run + "/approve", "");
        JsonNode told = shop.ended(run, "done");
        assertThat(told.path("repaired").asLong()).isEqualTo(2);
        assertThat(superseded(run)).containsExactly(shop.id(501));
        settled();
        assertThat(items(501)).isZero();
        assertThat(items(502)).isEqualTo(2);

        shop.app.update("update order_items set title = '新' where order_id = ?", shop.id(502));
        shop.app.update(
                "update orders set status = 'delivered', updated_at = clock_timestamp() where order_id = any (?)",
                (Object) new String[] {shop.id(502), shop.id(503)});
        settledWith(502, "delivered");
        settledWith(503, "delivered");
        long undo = shop.post("/verifications/" + run + "/undo", "").path("run").asLong();
        assertThat(shop.ended(undo, "done").path("repaired").asLong()).isEqualTo(1);
        assertThat(superseded(undo)).containsExactly(shop.id(502));
        settled();
        assertThat(items(502)).isEqualTo(2);
        assertThat(items(503)).isZero();
        assertThat(app("status", shop.id(503))).isEqualTo("delivered");
    }

    private static long items(int n) {
        Long count =
                shop.app.queryForObject("select count(*) from order_items where order_id = ?", Long.class, shop.id(n));
        return count == null ? 0 : count;
    }

    private static List<String> superseded(long run) {
        return shop.differences(run).stream()
                .filter(d -> d.path("state").asText().equals("superseded"))
                .map(d -> d.path("id").asText())
                .toList();
    }

    private static void settledWith(int n, String status) {
        await().atMost(Duration.ofSeconds(60))
                .until(() -> status.equals(app("status", shop.id(n)))
                        && status.equals(shop.mini
                                .read("order", shop.id(n))
                                .path("status")
                                .asText()));
        shop.settled();
    }

    @Test
    @Order(3)
    void aMassDeletionThatTheSweepHoldsBackIsMoreThanIsMendedUnaskedAndIsUndone() {
        int gone = 150;
        shop.app.update(
                "delete from orders where order_id in (select ? || i from generate_series(?, ?) i)",
                shop.prefix,
                1001,
                1000 + gone);
        long run = shop.begin("apply");
        JsonNode told = shop.ended(run, "waiting_for_approval");
        assertThat(told.path("told").path("why").asText()).contains("more than 100");
        assertThat(told.path("differences").path("missing").asInt()).isGreaterThanOrEqualTo(gone);
        assertThat(repaired(run)).isGreaterThanOrEqualTo(gone);
    }

    @Test
    @Order(4)
    void aRunIsPausedGoneOnWithAndRefusesWhatItCantDoAndWhoDidItIsKept() {
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
        assertThat(shop.post("/verifications", "{\"entity\":\"order\",\"self_test\":\"yes\"}")
                        .path("errors")
                        .path(0)
                        .path("pointer")
                        .asText())
                .isEqualTo("/self_test");
        assertThat(shop.get("/verifications/999999").path("status").asInt()).isEqualTo(404);
        for (String filter :
                List.of("?entity=thing", "?entity=%00", "/1/differences?kind=odd", "/1/differences?state=%00")) {
            assertThat(shop.get("/verifications" + filter).path("status").asInt())
                    .as(filter)
                    .isEqualTo(400);
        }
        long run = shop.begin("none");
        assertThat(shop.post("/verifications/" + run + "/pause", "{\"reason\":\"the ends are busy\"}")
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
        assertThat(shop.app.queryForList(
                        "select act || ' ' || result || coalesce(' ' || reason, '') from sync.audit where kind = 'verification' and target = ? order by id",
                        String.class,
                        String.valueOf(run)))
                .containsExactly(
                        "verification.pause done the ends are busy",
                        "verification.approve refused",
                        "verification.resume done");
    }

    @Test
    @Order(5)
    void aRunThatAnotherInstanceHasTakenOverStoresNothingMore() {
        Set<String> found = new TreeSet<>();
        shop.mini.tamper("order", shop.id(2001), Map.of("status", "paid"));
        long run = shop.begin("none");
        for (int i = 0; i < 5; i++) {
            // whoever comes next goes on from what is stored
            shop.app.update("update sync.verification_run set turn = turn + 1 where run = ? and ended_at is null", run);
        }
        shop.ended(run, "done");
        found.addAll(shop.found(run));
        assertThat(found).containsExactly("mini status_back " + shop.id(2001));
        long repair = shop.begin("apply");
        assertThat(shop.ended(repair, "done").path("repaired").asLong()).isEqualTo(1);
        settled();
    }
}
