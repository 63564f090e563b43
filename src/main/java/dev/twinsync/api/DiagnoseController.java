package dev.twinsync.api;

import dev.twinsync.verification.Diagnosis;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** Whether all that the service leans on bears, each with its remedy. */
@RestController
class DiagnoseController {

    private final Diagnosis diagnosis;

    DiagnoseController(Diagnosis diagnosis) {
        this.diagnosis = diagnosis;
    }

    /** {@code {state, items: [{check, state: ok|warning|fault, says, remedy}], next: null}}. */
    @GetMapping("/diagnose")
    Map<String, Object> diagnose() {
        List<Diagnosis.Finding> items = diagnosis.diagnose();
        Map<String, Object> answer = new LinkedHashMap<>();
        List<String> states = items.stream().map(Diagnosis.Finding::state).toList();
        answer.put("state", states.contains("fault") ? "fault" : states.contains("warning") ? "warning" : "ok");
        answer.put("items", items);
        answer.put("next", null);
        return answer;
    }
}
