package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/** 100,000 orders at both ends: what is damaged is found and mended, and nothing else is. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class VerificationTest {

    private static final int ORDERS = Integer.getInteger("verification.orders", 100_000);
    private static final int DELETED = ORDERS / 100;

    private static Shop shop;

    @BeforeAll
    static void load() {
        shop = new Shop("ver-");
        long began = System.nanoTime();
        shop.load(ORDERS, DELETED);
        System.out.println("loaded in ms " + (System.nanoTime() - began) / 1_000_000);
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
        System.out.println(told);
        assertThat(shop.found(run)).isEmpty();
        assertThat(told.path("compared").asLong()).isGreaterThanOrEqualTo(ORDERS);
        assertThat(told.path("unverified").asLong()).isZero();
    }

    @Test
    @Order(2)
    void tenOfEveryKindAreFoundAndMended() {
        Set<String> planted = shop.plant(130, 1000, dead(1, 20));
        long run = shop.begin("none");
        JsonNode told = shop.ended(run, "done");
        System.out.println(told);
        assertThat(shop.found(run)).containsExactlyInAnyOrderElementsOf(planted);

        long repair = shop.begin("plan");
        System.out.println(shop.ended(repair, "waiting_for_approval"));
        shop.post("/verifications/" + repair + "/approve", "");
        told = shop.ended(repair, "done");
        System.out.println(told);
        assertThat(told.path("repaired").asLong()).isEqualTo(planted.size());
        shop.settled();
        assertThat(shop.unequal()).isEmpty();
    }
}
