package dev.twinsync.console;

import static com.microsoft.playwright.assertions.PlaywrightAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.microsoft.playwright.Locator;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.assertions.LocatorAssertions.ContainsTextOptions;
import com.microsoft.playwright.assertions.LocatorAssertions.HasTextOptions;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** A verification as a person begins it, reads it, approves and undoes it. */
class VerificationPagesTest extends Browsing {

    private static final String PHONE = "+8613700001234";
    private static final String FORGED = "+8613700005678";

    private void user(String id) {
        app.update("insert into users (user_id, nickname, phone) values (?, '甲', ?)", id, PHONE);
        // and the echo of the write has come: until then what is shown at its position is a rendering of it
        await().atMost(Duration.ofSeconds(60))
                .until(() -> app.queryForObject(
                                "select count(*) from sync.base where id = ? and present and not doubt and detail is null"
                                        + " and not exists (select from sync.due where id = base.id)",
                                Long.class,
                                id)
                        == 2);
    }

    private static void act(Page page, String act, String reason) {
        page.locator("summary:text-is('" + act + "')").click();
        Locator form = page.locator("details[open] form").first();
        form.locator("[name=reason]").fill(reason);
        form.locator("button").click();
    }

    private static void state(Page page, String state) {
        // the page refreshes itself
        assertThat(page.locator("#progress .chip").first()).hasText(state, new HasTextOptions().setTimeout(60_000));
    }

    @Test
    void whatIsFoundIsPlannedApprovedMendedAndUndone() {
        user("verify-page-1");
        mini.tamper("user", "verify-page-1", Map.of("nickname", "乙", "phone", FORGED));
        Page page = as("operator");
        page.navigate(home + "/console");
        page.locator("nav >> text=Verification").click();
        page.locator("summary:text-is('Verify')").click();
        page.locator("#entity").selectOption("user");
        page.locator("#repair").selectOption("plan");
        page.locator("#ids").fill("verify-page-1");
        page.locator("#reason").fill("the customer sees another name");
        page.locator("details[open] button").click();
        assertThat(page).hasURL(Pattern.compile(".*/console/verification/\\d+"));
        state(page, "waits for approval");
        page.reload();
        Locator nickname = page.locator("tbody tr:has(td:text-is('nickname'))");
        assertThat(nickname.locator("td").nth(2)).containsText("甲");
        assertThat(nickname.locator("td").nth(3).locator("mark")).hasText("乙");
        assertThat(nickname.locator("td").nth(4)).containsText("甲");
        assertThat(page.locator("tbody")).containsText("+86137****5678");
        assertThat(page.content()).doesNotContain(PHONE).doesNotContain(FORGED);

        page.navigate(home + "/console/users/verify-page-1");
        assertThat(page.locator("section:has(#found)")).containsText("planned");
        assertThat(page.content()).doesNotContain(FORGED);
        page.locator("section:has(#found) a").first().click();

        act(page, "Approve", "the app is right");
        state(page, "done");
        assertThat(mini.read("user", "verify-page-1").path("nickname").asText()).isEqualTo("甲");
        page.reload();
        assertThat(page.locator("tbody tr").first()).containsText("mended");

        act(page, "Undo", "the mini-program was right");
        assertThat(page.locator(".lead")).containsText("undo of");
        state(page, "done");
        await().atMost(Duration.ofSeconds(30)).until(() -> "乙"
                .equals(app.queryForObject(
                        "select nickname from users where user_id = 'verify-page-1'", String.class)));

        page.navigate(home + "/console/audit?act=verification.undo");
        assertThat(page.locator("tbody tr").first()).containsText("the mini-program was right");
        page.navigate(home + "/console/verification");
        assertThat(page.locator("tbody tr").first()).containsText("undo of");
    }

    @Test
    void aRunIsPausedGoneOnWithAndStopped() {
        Page page = as("operator");
        user("verify-page-2");
        page.navigate(home + "/console/users/verify-page-2");
        page.locator(".acts form button:text-is('Verify')").click();
        assertThat(page).hasURL(Pattern.compile(".*/console/verification/\\d+"));
        String run = page.url();
        state(page, "done");
        // what its differences can't be asked by is told, with what they can
        for (String asked : List.of("kind=%00", "kind=odd", "state=candidate", "state=%00")) {
            assertThat(page.navigate(run + "?" + asked).status()).as(asked).isEqualTo(400);
            assertThat(page.locator(".note"))
                    .containsText(
                            asked.startsWith("kind")
                                    ? "kind: write one of missing, "
                                    : "state: write one of confirmed, ");
        }
        long id = Long.parseLong(run.substring(run.lastIndexOf('/') + 1));
        // one that has not begun, and does not while it is paused
        app.update(
                "insert into sync.verification_run (entity, origin, repair, asked_by, paused) values ('user', 'asked', 'none', 'operator', true)");
        page.navigate(home + "/console/verification/" + (id + 1));
        state(page, "paused");
        act(page, "Stop", "it was not meant");
        state(page, "stopped");
        assertThat(page.locator("#progress details.act")).hasCount(0);
    }

    @Test
    void aViewerSeesAndDoesNothingAndTheDiagnosisIsThere() {
        Page page = as("viewer");
        page.navigate(home + "/console/verification");
        assertThat(page.locator("details.act")).hasCount(0);
        assertThat(page.locator(".cards .card")).not().hasCount(0);
        page.locator("text=Diagnosis").click();
        assertThat(page.locator("main")).containsText("app database", new ContainsTextOptions().setTimeout(60_000));
        assertThat(page.locator("main")).containsText("digests of orders at mini");
        // nor by a call of the form
        Object status = page.evaluate("""
                async () => (await fetch('/console/verification', {method: 'POST', body: new URLSearchParams({
                  entity: 'user', _csrf: document.querySelector('[name=_csrf]').value})})).status""");
        assertThat(((Number) status).intValue()).isEqualTo(403);
        page.navigate(home + "/console");
        assertThat(page.locator(".overview-cards")).containsText("Verification");
    }

    @Test
    void withoutAReasonNothingIsMended() {
        Page page = as("operator");
        page.navigate(home + "/console/verification");
        page.locator("summary:text-is('Verify')").click();
        page.locator("#repair").selectOption("apply");
        page.locator("details[open] button").click();
        assertThat(page.locator(".flash.bad")).containsText("Say why");
    }
}
