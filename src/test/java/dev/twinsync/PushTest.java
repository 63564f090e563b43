package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The two pushes of the first screen, as they stand there. */
class PushTest {

    static final String USER =
            "{\"user_id\":\"123456\",\"data\":{\"nickname\":\"张三\",\"avatar\":\"http://example.com/avatar.jpg\",\"language\":\"zh-CN\"}}";
    static final String ORDER =
            "{\"order_id\":\"789012\",\"data\":{\"status\":\"已支付\",\"payment_amount\":199.99,\"shipping_info\":{\"carrier\":\"顺丰\",\"tracking_number\":\"1234567890\"}}}";

    /** The demo's own records are other tests' too. */
    private static final String OF = "push-";

    private final Ends ends = Ends.shared();

    private static String ours(String push) {
        return push.replace("_id\":\"", "_id\":\"" + OF);
    }

    @Test
    void whatTheAppsBackendStatesOfAUserAndAnOrderIsAtBothEnds() {
        ends.app.update(
                "insert into users (user_id, nickname, phone) values (?, '小明', '+8613800138000')", OF + "123456");
        ends.app.update(
                "insert into orders (order_id, user_id, status, payment_amount)"
                        + " values (?, ?, 'pending_payment', 250.00)",
                OF + "789012",
                OF + "123456");
        Ends.soon(() -> assertThat(ends.mini.read("order", OF + "789012")).isNotNull());
        Ends.soon(() -> assertThat(ends.mini.read("user", OF + "123456")).isNotNull());

        assertThat(ends.post("app-key", "/sync_user_data", ours(USER)).statusCode())
                .isEqualTo(202);
        assertThat(ends.post("app-key", "/sync_order_data", ours(ORDER)).statusCode())
                .isEqualTo(202);
        both(ends);
        ends.quiet(OF);
        assertThat(ends.differences("user", OF)).isEmpty();
        assertThat(ends.differences("order", OF)).isEmpty();
    }

    private static void both(Ends ends) {
        Ends.soon(() -> {
            Map<String, Object> user = ends.app.queryForMap("select * from users where user_id = ?", OF + "123456");
            assertThat(user)
                    .containsEntry("nickname", "张三")
                    .containsEntry("avatar", "http://example.com/avatar.jpg")
                    .containsEntry("phone", "+8613800138000");
            assertThat(ends.mini.read("user", OF + "123456").path("nickname").asText())
                    .isEqualTo("张三");
            Map<String, Object> order = ends.app.queryForMap("select * from orders where order_id = ?", OF + "789012");
            assertThat(order)
                    .containsEntry("status", "paid")
                    .containsEntry("payment_amount", new java.math.BigDecimal("199.99"))
                    .containsEntry("carrier", "SF")
                    .containsEntry("tracking_number", "1234567890");
            JsonNode there = ends.mini.read("order", OF + "789012");
            assertThat(there.path("status").asText()).isEqualTo("paid");
            assertThat(there.path("payment_amount").decimalValue().toPlainString())
                    .isEqualTo("199.99");
            assertThat(there.path("shipping_info").path("carrier").asText()).isEqualTo("SF");
        });
    }
}
