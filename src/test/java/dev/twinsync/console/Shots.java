package dev.twinsync.console;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.verification.Verifications;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.springframework.jdbc.core.JdbcTemplate;

/** What the pages show in the tests that look at both ends: believable, and with one order that is refused. */
final class Shots {

    private static boolean filled;
    private static long run;

    private Shots() {}

    static synchronized void fill(JdbcTemplate app, MiniProgram mini) {
        if (filled) {
            return;
        }
        filled = true;
        mini.refuse("order", "800042", 422);
        app.update(
                "insert into users (user_id, nickname, phone, avatar, notifications) values ('123456', '小明', '13800138000',"
                        + " 'https://img.example.com/a/123456.jpg', '{\"order\": true}'), ('200002', '林雨桐', '13800100107', null, '{}'),"
                        + " ('200003', '周思远', '13800100114', null, '{}') on conflict do nothing");
        order(app, "789012", "pending_payment", "250.00", "西湖龙井 250g");
        order(app, "800042", "paid", "168.00", "苏州真丝方巾 90cm");
        order(app, "800103", "shipped", "89.90", "五常大米 5kg");
        order(app, "800106", "delivered", "59.90", "龙泉青瓷茶杯");
        await().atMost(Duration.ofSeconds(60)).untilAsserted(() -> {
            assertThat(mini.read("order", "789012")).isNotNull();
            assertThat(mini.read("order", "800106")).isNotNull();
            assertThat(mini.read("user", "123456")).isNotNull();
        });
        // two edits that meet: the app owns the unionid
        app.update(
                "update users set unionid = 'o6_bmjrPTlm6_2sgVt7h', updated_at = clock_timestamp() where user_id = '123456'");
        mini.edit("user", "123456", Map.of("unionid", "o6_other"));
    }

    /** In one statement: a poll that saw the order without its items would not hear of them any more. */
    private static void order(JdbcTemplate app, String id, String status, String amount, String title) {
        app.update("""
                with made as (
                  insert into orders (order_id, user_id, status, payment_amount, payment_method)
                  values (?, '123456', ?, ?::numeric, 'wechat_pay') on conflict do nothing)
                insert into order_items values (?, 1, 'SKU-1', ?, 1, ?::numeric) on conflict do nothing
                """, id, status, amount, id, title, amount);
    }

    /** A run that waits for an approval: two orders were changed by hand at the mini-program, one in the app. */
    static synchronized long verified(Verifications verifications, JdbcTemplate app, MiniProgram mini) {
        if (run == 0) {
            await().atMost(Duration.ofSeconds(60))
                    .until(() -> app.queryForObject(
                                    "select count(*) from sync.base where id in ('789012', '800103', '800106', '200002')"
                                            + " and present and not doubt and detail is null",
                                    Long.class)
                            == 8);
            mini.tamper("order", "800106", Map.of("status", "shipped", "payment_method", "cash"));
            mini.tamper("user", "200002", Map.of("phone", "+8613912345678"));
            app.update("update orders set payment_amount = 8.99 where order_id = '800103'");
            run = verifications.begin(
                    "order", List.of("789012", "800103", "800106"), "plan", "operator", "a customer asked");
            long users = verifications.begin("user", List.of("200002", "200003"), "none", "operator", null);
            await().atMost(Duration.ofSeconds(60))
                    .until(() -> verifications.get(run).get("state").equals("waiting_for_approval")
                            && verifications.get(users).get("state").equals("done"));
        }
        return run;
    }
}
